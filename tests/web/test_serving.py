"""The web served for real: over TLS, behind a proxy, and for hosts that are allowed."""

import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.web.security_shop import PASSWORD, open_web

from trinetra.adapters.clock import SystemClock
from trinetra.commands.web_serving import proxies, serving_web, warn_if_open
from trinetra.errors import ConfigurationError
from trinetra.hosting import bare_health_app
from trinetra.settings import Settings


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate of this machine, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    now = SystemClock().now()
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_file, key_file


@asynccontextmanager
async def served(
    folder: Path, verify: Any = True, **settings: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a shop with one user, ann; yield a client of it."""
    given = Settings(data_dir=folder, **settings)
    async with (
        open_web(folder) as shop,
        serving_web(shop.backend, bare_health_app([]), given, SystemClock(), port=0) as web,
    ):
        await shop.user("ann")
        async with httpx.AsyncClient(base_url=web.url, verify=verify) as client:
            yield client


async def log_in(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/login", data={"name": "ann", "password": PASSWORD}, headers=named)


async def test_tls_is_served_with_the_certificate_and_binds_cookies_to_it(tmp_path: Path) -> None:
    cert_file, key_file = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(cert_file))
    async with served(tmp_path, context, tls_cert_file=cert_file, tls_key_file=key_file) as client:
        answer = await log_in(client)
        session = await client.get("/v1/session")

    assert client.base_url.scheme == "https"
    assert "__Host-trinetra_session=" in answer.headers["set-cookie"]
    assert "Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert session.json()["name"] == "ann"


async def test_a_client_that_speaks_no_tls_gets_no_answer(tmp_path: Path) -> None:
    cert_file, key_file = make_certificate(tmp_path)
    async with (
        served(
            tmp_path,
            False,
            tls_cert_file=cert_file,
            tls_key_file=key_file,
        ) as client,
        httpx.AsyncClient() as plain,
    ):
        with pytest.raises(httpx.TransportError):
            await plain.get(f"http://127.0.0.1:{client.base_url.port}/login")


async def test_a_certificate_that_cannot_be_used_is_a_mistake_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    cert_file, key_file = make_certificate(tmp_path)
    for wrong in (cert_file, tmp_path / "missing.pem"):
        with pytest.raises(ConfigurationError, match="TRINETRA_TLS_KEY_FILE"):
            async with served(tmp_path, tls_cert_file=cert_file, tls_key_file=wrong):
                pass
    with pytest.raises(ValueError, match="TLS needs both"):
        Settings(tls_cert_file=cert_file)
    assert key_file.exists()


async def test_a_proxy_is_believed_only_if_it_is_trusted(tmp_path: Path) -> None:
    forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "198.51.100.7"}
    async with served(tmp_path / "a") as client:
        unbelieved = await log_in(client, **forwarded)
    async with served(tmp_path / "b", trusted_proxies="127.0.0.0/8") as client:
        believed = await log_in(client, **forwarded)

    assert "Secure" not in unbelieved.headers["set-cookie"]
    assert "Secure" in believed.headers["set-cookie"]


async def test_names_that_are_not_ours_are_refused_and_that_of_the_web_url_is_ours(
    tmp_path: Path,
) -> None:
    async with served(tmp_path) as client:
        for host, status in {"evil.example": 421, "localhost": 200, "10.1.2.3": 200}.items():
            answer = await client.get("/login", headers={"Host": host})
            assert answer.status_code == status
    assert "shop.example" in Settings(web_url="https://shop.example:8443").host_names


@pytest.mark.parametrize("wrong", ["proxy.example", "10.0.0.0/33", "*"])
def test_trusted_proxies_are_addresses_or_networks(wrong: str) -> None:
    assert proxies(Settings(trusted_proxies="127.0.0.1, 10.0.0.0/24")) == [
        "127.0.0.1",
        "10.0.0.0/24",
    ]
    with pytest.raises(ConfigurationError, match="TRINETRA_TRUSTED_PROXIES"):
        proxies(Settings(trusted_proxies=wrong))


@pytest.mark.parametrize(
    ("settings", "warns"),
    [
        ({}, False),
        ({"host": "::1"}, False),
        ({"host": "localhost"}, False),
        ({"host": "192.0.2.1"}, True),
        ({"host": "192.0.2.1", "trusted_proxies": "10.0.0.1"}, True),
        (
            {"host": "192.0.2.1", "trusted_proxies": "10.0.0.1", "web_url": "https://shop.example"},
            False,
        ),
    ],
)
def test_listening_to_others_without_tls_is_warned_of(
    settings: dict[str, str], warns: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_if_open(Settings(**settings))
    assert ("without TLS" in capsys.readouterr().err) is warns
