"""Signed webhooks, as Standard Webhooks describes them (standardwebhooks.com, version 1).

``webhook-id`` is the same at every attempt, so that receivers can drop repetitions;
``webhook-signature`` is ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``.
"""

import asyncio
import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass

import httpx
import msgspec

from trinetra import __version__
from trinetra.adapters.notify.addresses import resolve
from trinetra.adapters.notify.people import Naming
from trinetra.errors import ConfigurationError, DeliveryFailed, DeliveryRefused
from trinetra.events.alert_messages import document_of
from trinetra.events.alerts import Outgoing
from trinetra.ports import Clock

SECRET_PREFIX = "whsec_"  # noqa: S105 - marks a secret, is none
_PORTS = {"http": 80, "https": 443}
_ABOUT_THIS_MESSAGE = frozenset({400, 413, 415, 422})
"""Answers that another attempt with the same message would get too."""
_READ_BYTES = 4096


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """Where a webhook sends, and how long an answer may take. ``secret`` signs; None: unsigned."""

    url: str
    secret: str | None = None
    allow_private: bool = False
    timeout_s: float = 5.0


def signing_key(secret: str) -> bytes:
    """Return the key of a secret: base64 after ``whsec_``, or the text itself.

    Raises ConfigurationError, without the secret.
    """
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error as cause:
        raise ConfigurationError(f"a secret after {SECRET_PREFIX} must be base64") from cause


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of ``webhook-signature``."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class WebhookChannel:
    """An AlertChannel that posts JSON; redirects are not followed."""

    def __init__(self, config: WebhookConfig, clock: Clock, naming: Naming) -> None:
        """Raise ConfigurationError for a secret that cannot be used."""
        self._config = config
        self._url = httpx.URL(config.url)
        self._key = signing_key(config.secret) if config.secret is not None else None
        self._clock = clock
        self._naming = naming
        # Without the environment: a proxy would connect to what was not checked here.
        self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False)

    async def tend(self) -> None:
        """Do nothing: there is no lasting connection."""

    async def send(self, outgoing: Outgoing) -> None:
        """Post a message. Raises DeliveryFailed or DeliveryRefused."""
        document = document_of(
            outgoing,
            tells_people=self._naming.tells_people,
            name=await self._naming.name_of(outgoing.notice.person),
        )
        try:
            async with asyncio.timeout(self._config.timeout_s):
                status = await self._post(document)
        except TimeoutError as cause:
            raise DeliveryFailed(
                f"{self._place} did not answer within {self._config.timeout_s:g} s"
            ) from cause
        except httpx.HTTPError as cause:
            reason = str(cause) or type(cause).__name__
            raise DeliveryFailed(f"{self._place} cannot be reached: {reason}") from cause
        self._judge(status)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    @property
    def _place(self) -> str:
        """The receiver without path and query, which may hold a secret."""
        return f"{self._url.scheme}://{self._url.netloc.decode()}"

    async def _post(self, document: dict[str, object]) -> int:
        body = msgspec.json.encode(document)
        host, port = self._url.host, self._url.port or _PORTS[self._url.scheme]
        address = await resolve(host, port, allow_private=self._config.allow_private)
        request = self._client.build_request(
            "POST",
            self._url.copy_with(host=str(address)),
            content=body,
            headers=self._headers(str(document["id"]), body),
            extensions={"sni_hostname": host},
            timeout=self._config.timeout_s,
        )
        answer = await self._client.send(request, stream=True)
        try:
            read = 0
            async for part in answer.aiter_raw():  # a short answer leaves the connection usable
                read += len(part)
                if read > _READ_BYTES:
                    break
        finally:
            await answer.aclose()
        return answer.status_code

    def _headers(self, message_id: str, body: bytes) -> dict[str, str]:
        timestamp = int(self._clock.now().timestamp())
        headers = {
            "host": self._url.netloc.decode(),
            "content-type": "application/json",
            "user-agent": f"trinetra/{__version__}",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
        }
        if self._key is not None:
            headers["webhook-signature"] = signature(self._key, message_id, timestamp, body)
        return headers

    def _judge(self, status: int) -> None:
        code = httpx.codes
        if code.is_success(status):
            return
        if status in _ABOUT_THIS_MESSAGE:
            raise DeliveryRefused(f"{self._place} refused the message with HTTP {status}")
        if code.is_redirect(status):
            raise DeliveryFailed(
                f"{self._place} redirects elsewhere (HTTP {status}): write the final address into "
                "the site file"
            )
        raise DeliveryFailed(f"{self._place} answered HTTP {status}{_hint(status)}")


def _hint(status: int) -> str:
    hints = {
        401: ": check the secret and the address",
        403: ": the receiver does not allow it; check the secret",
        404: ": there is nothing at this path; check the address",
        410: ": the receiver wants no more messages; remove the channel",
        429: ": too many messages for it; lower max_per_day of its recipients",
    }
    return hints.get(status, "")
