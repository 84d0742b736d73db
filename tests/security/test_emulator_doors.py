"""Who gets into the emulator, and what its certificates vouch for; and that the list of security tests names real ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from emulator_support import Emulated, MovedClock

ROOT = Path(__file__).parents[2]
PRIVATE = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)


@pytest.mark.parametrize("header", [None, "", "Bearer x", "Bearer x.y.z", "Basic dTpw", "bearer"], ids=str)
def test_nothing_is_told_without_a_good_token(emulator: Emulated, header: str | None) -> None:
    with emulator.plain(headers={} if header is None else {"authorization": header}) as client:
        answer = client.get(emulator.ws, params={"api-version": "2024-10-01-preview"})
    assert answer.status_code == 401
    assert emulator.names.workspace_id not in answer.text


def test_a_token_that_was_changed_or_has_expired_is_refused(emulate: Callable[..., Emulated]) -> None:
    clock = MovedClock()
    emulator = emulate(clock=clock)
    good = emulator.token()
    head, claims, signature = good.split(".")

    def status(token: str) -> int:
        with emulator.plain(headers={"authorization": f"Bearer {token}"}) as client:
            return client.get(emulator.ws, params={"api-version": "2024-10-01-preview"}).status_code

    assert status(good) == 200
    assert status(f"{head}.{claims[:-2]}AA.{signature}") == 401
    assert status(f"{head}.{claims}.") == 401
    clock.move(2 * 3600)
    assert status(good) == 401


def test_a_foreign_host_or_origin_is_refused_with_a_good_token(emulator: Emulated) -> None:
    with emulator.client() as client:
        assert client.get(emulator.ws, headers={"host": "management.azure.com"}).status_code == 421
        assert client.get(emulator.ws, headers={"origin": "https://evil.example"}).status_code == 403


def test_the_authority_vouches_for_loopback_alone_and_its_key_is_gone(emulator: Emulated) -> None:
    import ssl

    folder = emulator.workspace.root / "emulator"
    leaf = x509.load_pem_x509_certificate(ssl.get_server_certificate(("localhost", emulator.port)).encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"localhost"}
    assert {str(each) for each in names.get_values_for_type(x509.IPAddress)} <= {"127.0.0.1", "::1"}
    keys = []
    for path in (each for each in emulator.workspace.root.rglob("*") if each.is_file()):
        found = re.findall(
            rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", path.read_bytes(), re.DOTALL
        )
        keys += [(path, load_pem_private_key(each, None).public_key()) for each in found]
    own = [path for path, key in keys if key == leaf.public_key()]
    assert own
    assert all(path.stat().st_mode & 0o077 == 0 for path, _ in keys)
    authorities = [
        certificate
        for path in folder.rglob("*.pem")
        for certificate in x509.load_pem_x509_certificates(path.read_bytes())
        if certificate.subject == leaf.issuer
    ]
    assert authorities
    assert not [path for path, key in keys if key in [each.public_key() for each in authorities]]


def test_the_list_of_security_tests_names_real_ones() -> None:
    named = re.findall(r"`(tests/[^`:]+)(?:::(\w+))?`", (ROOT / "docs" / "security-tests.md").read_text(encoding="utf-8"))
    assert len(named) > 15
    for path, test in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in text, f"{path} has no {test}"
