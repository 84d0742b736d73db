"""The certificate of the emulator: a local authority for loopback names signs one leaf, and its key is destroyed at once.

Nothing is installed into the system: clients are handed a bundle, the public roots and this authority."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.content import files

if TYPE_CHECKING:
    from cryptography import x509

    from opsml_cli.local.layout import Layout

HOST = "localhost"
ADDRESSES = ("127.0.0.1", "::1")
LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificates:
    """`server` holds the leaf and its key (0600); `authority` and `bundle` are public."""

    server: Path
    authority: Path
    bundle: Path


def places(layout: Layout) -> Certificates:
    """Where they lie, whether they are there or not."""
    folder = layout.root / "emulator" / "tls"
    return Certificates(layout.secrets / "emulator-tls.pem", folder / "authority.pem", folder / "bundle.pem")


def ensure(layout: Layout, now: datetime) -> Certificates:
    """The certificates, made anew with a new authority when there are none, they don't belong together, or the end is
    near. For the one process that holds the emulator's lock."""
    found = places(layout)
    if not _sound(found, now):
        _make(found, now)
    # certifi may have been renewed since: the bundle follows it.
    bundle = _roots() + b"\n" + found.authority.read_bytes()
    if not found.bundle.is_file() or found.bundle.read_bytes() != bundle:
        files.write_atomic(found.bundle, bundle, mode=0o644)
    return found


def _roots() -> bytes:
    import certifi

    return Path(certifi.where()).read_bytes()


def _sound(found: Certificates, now: datetime) -> bool:
    from cryptography import x509

    try:
        leaf = x509.load_pem_x509_certificate(found.server.read_bytes())
        authority = x509.load_pem_x509_certificate(found.authority.read_bytes())
        leaf.verify_directly_issued_by(authority)
    except Exception:  # missing, torn or foreign: whatever it is, a new pair mends it
        return False
    return min(leaf.not_valid_after_utc, authority.not_valid_after_utc) - now > RENEW_BEFORE


def _make(found: Certificates, now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID

    begin, end = (now - timedelta(hours=1)).astimezone(UTC), (now + LIFETIME).astimezone(UTC)
    authority_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    named = [x509.IPAddress(ipaddress.ip_address(each)) for each in ADDRESSES]
    networks = [x509.IPAddress(ipaddress.ip_network(each)) for each in ADDRESSES]
    authority_name = _name(f"opsml local authority {now:%Y-%m-%d}")
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName(HOST), *networks], None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, SHA256())
    )
    leaf = (
        _builder(_name(HOST), authority_name, leaf_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST), *named]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, SHA256())
    )
    # The authority's key was never written, and ends with this function.
    del authority_key
    found.server.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found.authority.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files.write_atomic(found.authority, authority.public_bytes(Encoding.PEM), mode=0o644)
    files.write_atomic(found.server, key + leaf.public_bytes(Encoding.PEM), mode=0o600)


def _name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: object, begin: datetime, end: datetime) -> x509.CertificateBuilder:
    from cryptography import x509

    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
