"""The vendors, played; a network of names that the test decides; certificates that are right or wrong."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.config import Settings
from services.connections import transport
from tests.fakes.elevenlabs import FakeElevenLabs
from tests.fakes.gemini import FakeGemini
from tests.fakes.postiz import FakePostiz

PUBLIC = "93.184.215.14"
HOUR = timedelta(hours=1)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation that calls the public network only."""
    for name in ("ALLOW_PRIVATE_ADDRESSES", "ELEVENLABS_URL", "GEMINI_URL"):
        monkeypatch.delenv(name, raising=False)
    return Settings()


@pytest.fixture
def private(strict: Settings) -> Settings:
    return strict.model_copy(update={"allow_private_addresses": True})


@pytest.fixture
def postiz() -> Iterator[FakePostiz]:
    with FakePostiz() as fake:
        yield fake


@pytest.fixture
def gemini() -> Iterator[FakeGemini]:
    with FakeGemini() as fake:
        yield fake


@pytest.fixture
def elevenlabs() -> Iterator[FakeElevenLabs]:
    with FakeElevenLabs() as fake:
        yield fake


@dataclass
class Network:
    """`names`: what each look-up of a name answers, the last one for ever. Calls to `PUBLIC` end at `port` here."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)
    port: int = 0
    looked_up: list[str] = field(default_factory=list)
    dialled: list[str] = field(default_factory=list)
    deaf: set[str] = field(default_factory=set)

    def look_up(self, host: str, port: int) -> list[str]:
        self.looked_up.append(host)
        answers = self.names.get(host) or [[host]]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def dial(self, host: str, port: int, *rest: Any) -> httpcore.NetworkStream:
        self.dialled.append(host)
        if host in self.deaf:
            raise httpcore.ConnectError("refused")
        return CONNECT(httpcore.SyncBackend(), *(("127.0.0.1", self.port) if host == PUBLIC else (host, port)), *rest)


CONNECT = httpcore.SyncBackend.connect_tcp


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    made = Network()
    monkeypatch.setattr(transport, "resolve", made.look_up)
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", made.dial)
    return made


# Certificates -----------------------------------------------------------------------------------------------


class Authority:
    """An issuer that this process trusts; `context` is a server's side of TLS."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Issuer")])
        self.certificate = self._issue(self._name, self._key.public_key(), HOUR, x509.BasicConstraints(True, None))
        self.file = folder / "issuer.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, *names: str, ends: timedelta = HOUR) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Server")])
        kinds = x509.SubjectAlternativeName([_general(name) for name in names])
        certificate = self._issue(subject, key.public_key(), ends, kinds)
        file = self._folder / f"{names[0]}-{ends.total_seconds()}.pem"
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _issue(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        ends: timedelta,
        extension: x509.ExtensionType,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 48 * HOUR)
            .not_valid_after(now + ends)
            .add_extension(extension, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    return made
