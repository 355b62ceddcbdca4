"""How clients of Kafka are told to connect."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.messaging.broker import CertificateProblem, connection


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A folder as Strimzi's secrets fill it; one key plays authority and user."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "welfare")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for file, content in {"ca.crt": made, "user.crt": made, "user.key": private}.items():
        (tmp_path / file).write_bytes(content)
    return tmp_path


def test_without_a_certificate_the_listener_is_a_plain_one(tmp_path: Path) -> None:
    assert connection("kafka:9092", tmp_path / "none") == {"bootstrap_servers": "kafka:9092"}


def test_with_one_the_broker_is_checked_and_we_say_who_we_are(certificate: Path) -> None:
    made = connection("kafka:9092", certificate)
    context = made.pop("ssl_context")
    assert made == {"bootstrap_servers": "kafka:9092", "security_protocol": "SSL"}
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.cert_store_stats()["x509_ca"] == 1


@pytest.mark.parametrize("file", ["ca.crt", "user.crt", "user.key"])
def test_half_a_certificate_is_refused_and_never_becomes_a_plain_connection(
    certificate: Path, file: str
) -> None:
    (certificate / file).unlink()
    with pytest.raises(CertificateProblem, match="cannot be used"):
        connection("kafka:9092", certificate)


def test_a_file_that_is_no_certificate_is_refused(certificate: Path) -> None:
    (certificate / "user.crt").write_text("nonsense", "utf-8")
    with pytest.raises(CertificateProblem, match="cannot be used"):
        connection("kafka:9092", certificate)
