"""Single sign-on by OpenID Connect: authorization code with PKCE, state and nonce.

The flow is kept on the server, under the digest of its state, and bound to the browser by a cookie.
Authlib builds the requests and checks the claims of the ID token; its httpx client needs another
HTTP library than ours, so that the two requests are sent here.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from trinetra.errors import ServerUnavailable
from trinetra.events.accounts import OneTimeSecret, secret_digest
from trinetra.ports import Clock, OneTimeStore
from trinetra.telemetry import get_logger
from trinetra.web.access import NotAuthenticated, Role

log = get_logger("web")
FLOW_VALID = timedelta(minutes=10)
_MAX_FLOWS = 1000
_ALGORITHMS = ("RS256", "PS256", "ES256", "RS384", "PS384", "ES384", "RS512", "PS512", "EdDSA")
"""Signatures by a private key: with HS256 or "none" others than the provider could make a token."""
_LEEWAY_S = 60
_CACHED_S = 3600.0
_KEYS_AGAIN_S = 60.0
_TIMEOUT_S = 10.0
_BAD_REQUEST = 400
_STRONGEST_FIRST = (Role.ADMIN, Role.PRIVACY_OFFICER, Role.OPERATOR, Role.VIEWER)


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider, and what its groups mean here.

    ``roles`` and ``sites`` are by group. Without ``sites`` every user sees all sites.
    """

    issuer: str
    client_id: str
    client_secret: str | None
    roles: Mapping[str, Role]
    sites: Mapping[str, str]
    groups_claim: str = "groups"
    scope: str = "openid profile email"
    label: str = "single sign-on"


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as the provider knows him or her: a stable subject, a name, role and sites here."""

    subject: str
    name: str
    role: Role
    sites: tuple[str, ...]
    next_page: str


class SingleSignOn:
    """Sends browsers to an OpenID provider, and reads what they bring back."""

    def __init__(
        self,
        provider: Provider,
        flows: OneTimeStore,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.provider = provider
        self._flows = flows
        self._clock = clock
        self._transport = transport
        self._documents: dict[str, tuple[float, Mapping[str, Any]]] = {}

    async def begin(self, redirect_uri: str, next_page: str) -> tuple[str, str]:
        """Return the provider's address for the browser, and a secret for a cookie of it.

        Raises ServerUnavailable if the provider does not answer.
        """
        endpoint = (await self._configuration())["authorization_endpoint"]
        state, nonce, binding = (secrets.token_urlsafe(32) for _ in range(3))
        verifier = secrets.token_urlsafe(48)
        now = self._clock.now()
        flow = OneTimeSecret(
            digest=secret_digest(state),
            purpose="oidc",
            expires_at=now + FLOW_VALID,
            payload={
                "nonce": nonce,
                "verifier": verifier,
                "binding": secret_digest(binding),
                "redirect_uri": redirect_uri,
                "next": next_page,
            },
        )
        await self._flows.keep(flow, now, at_most=_MAX_FLOWS)
        address: str = prepare_grant_uri(
            endpoint,
            client_id=self.provider.client_id,
            response_type="code",
            redirect_uri=redirect_uri,
            scope=self.provider.scope,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )
        return address, binding

    async def finish(self, state: str, code: str, binding: str | None) -> Identity:
        """Return who the browser brings back.

        Raises NotAuthenticated if the state is unknown, used or of another browser, if the ID token
        is not valid, or if none of the user's groups has a role; ServerUnavailable if the provider
        does not answer.
        """
        flow = await self._flows.take(secret_digest(state), "oidc", self._clock.now())
        if flow is None or binding is None:
            raise NotAuthenticated("this login has expired or was used; log in again")
        if not secrets.compare_digest(flow.payload["binding"], secret_digest(binding)):
            raise NotAuthenticated("this login was begun in another browser; log in again")
        tokens = await self._redeem(code, flow.payload)
        claims = await self._claims(tokens, flow.payload["nonce"])
        return self._identity(claims, flow.payload["next"])

    async def _redeem(self, code: str, flow: Mapping[str, str]) -> Mapping[str, Any]:
        provider = self.provider
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flow["redirect_uri"],
            "code_verifier": flow["verifier"],
            "client_id": provider.client_id,
        }
        auth = None
        if provider.client_secret is not None:
            auth = httpx.BasicAuth(quote(provider.client_id), quote(provider.client_secret))
        endpoint = (await self._configuration())["token_endpoint"]
        return await self._send("POST", endpoint, data=form, auth=auth)

    async def _claims(self, tokens: Mapping[str, Any], nonce: str) -> CodeIDToken:
        """Return the claims of the ID token, whose signature and claims are valid."""
        try:
            token = await self._verified(str(tokens.get("id_token", "")))
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": self.provider.issuer},
                    "aud": {"essential": True, "value": self.provider.client_id},
                    "exp": {"essential": True},
                    "sub": {"essential": True},
                },
                {
                    "nonce": nonce,
                    "client_id": self.provider.client_id,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(now=int(self._clock.now().timestamp()), leeway=_LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as cause:
            log.warning("ID token refused", issuer=self.provider.issuer, cause=str(cause))
            raise NotAuthenticated("the provider's answer is not valid; log in again") from cause
        return claims

    async def _verified(self, id_token: str) -> jwt.Token:
        """Return a token whose signature is the provider's; asks for new keys once."""
        uri = (await self._configuration())["jwks_uri"]
        try:
            return _decoded(id_token, await self._document(uri, _CACHED_S))
        except (JoseError, ValueError):
            return _decoded(id_token, await self._document(uri, _KEYS_AGAIN_S))

    def _identity(self, claims: Mapping[str, Any], next_page: str) -> Identity:
        given = claims.get(self.provider.groups_claim, ())
        groups = {given} if isinstance(given, str) else set(map(str, given))
        roles = {role for group, role in self.provider.roles.items() if group in groups}
        role = next((role for role in _STRONGEST_FIRST if role in roles), None)
        name = str(claims.get("preferred_username") or claims.get("email") or claims["sub"])
        sites = sorted({site for group, site in self.provider.sites.items() if group in groups})
        if role is None or (self.provider.sites and not sites):
            raise NotAuthenticated(
                f"{name} is in no group that may use TRINETRA; ask an administrator"
            )
        subject = f"{self.provider.issuer}#{claims['sub']}"
        return Identity(subject, name, role, tuple(sites) or ("*",), next_page)

    async def _configuration(self) -> Mapping[str, Any]:
        address = f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = await self._document(address, _CACHED_S)
        if found.get("issuer") != self.provider.issuer:
            raise ServerUnavailable(f"{address} is of another issuer: correct TRINETRA_OIDC_ISSUER")
        return found

    async def _document(self, address: str, max_age_s: float) -> Mapping[str, Any]:
        read_s, document = self._documents.get(address, (float("-inf"), {}))
        if self._clock.monotonic() - read_s >= max_age_s:
            document = await self._send("GET", address)
            self._documents[address] = self._clock.monotonic(), document
        return document

    async def _send(self, method: str, address: str, **options: Any) -> Mapping[str, Any]:
        client = httpx.AsyncClient(transport=self._transport, timeout=_TIMEOUT_S)
        try:
            async with client:
                answer = await client.request(method, address, **options)
            document: Mapping[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as cause:
            raise ServerUnavailable(
                f"the OpenID provider {self.provider.issuer} does not answer: {cause}"
            ) from cause
        if answer.status_code == _BAD_REQUEST and "error" in document:
            raise NotAuthenticated(f"the provider refused the login: {document['error']}")
        if answer.is_error:
            raise ServerUnavailable(
                f"the OpenID provider {self.provider.issuer} answers {answer.status_code}"
            )
        return document


def _decoded(id_token: str, keys: Mapping[str, Any]) -> jwt.Token:
    key_set = KeySet.import_key_set({"keys": list(keys["keys"])})
    return jwt.decode(id_token, key_set, list(_ALGORITHMS))


def by_group(text: str) -> Sequence[tuple[str, str]]:
    """Return pairs of a setting like ``group=value,other=value``. Raises ValueError."""
    pairs = [part.rpartition("=") for part in text.split(",") if part.strip()]
    if wrong := [value for group, _, value in pairs if not group.strip() or not value.strip()]:
        raise ValueError(f"not GROUP=VALUE: {', '.join(wrong)}")
    return [(group.strip(), value.strip()) for group, _, value in pairs]
