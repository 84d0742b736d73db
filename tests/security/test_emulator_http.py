"""The emulator against strangers: who may speak to it, with which tokens, and what its certificate is good for."""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import os
import re
import socket
import ssl
import stat
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import psutil
import pytest
from command_line import Opsml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from emulator_support import Emulated, MovedClock

from opsml_cli.emulator import tls
from opsml_cli.emulator.routing import every_route, full
from opsml_cli.emulator.wire import Route
from opsml_cli.local.service.place import ServicePlace

Emulate = Callable[..., Emulated]
ROUTES = every_route()


def _path(emulator: Emulated, route: Route) -> str:
    """A path that the route answers, in the emulator's own workspace."""
    known = {
        "subscription": emulator.subscription,
        "resource_group": emulator.resource_group,
        "workspace": emulator.workspace_name,
    }
    path = re.sub(r"\{(\w+)(?::path)?\}", lambda found: known.get(found[1], "x"), full(route.template))
    return f"{path}?api-version=2024-10-01-preview"


@contextmanager
def _connection(emulator: Emulated) -> Iterator[http.client.HTTPSConnection]:
    context = ssl.create_default_context(cafile=str(emulator.bundle))
    connection = http.client.HTTPSConnection("localhost", emulator.port, timeout=20, context=context)
    try:
        yield connection
    finally:
        connection.close()


def _send(
    connection: http.client.HTTPSConnection, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    reply = connection.getresponse()
    return reply.status, reply.read(), reply.headers


def test_a_foreign_host_or_origin_is_refused_on_every_route_with_a_token_too(emulator: Emulated) -> None:
    token = {"Authorization": f"Bearer {emulator.token()}"}
    strangers = (
        ({"Host": f"evil.example:{emulator.port}"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    )
    assert len(ROUTES) > 60
    with _connection(emulator) as connection:
        for route in ROUTES:
            for headers, expected in strangers:
                status, _, answered = _send(connection, route.method, _path(emulator, route), token | headers)
                assert status == expected, (route.method, route.template, headers)
                assert answered["access-control-allow-origin"] is None


def test_every_route_but_the_open_ones_wants_a_credential(emulator: Emulated) -> None:
    open_ = {route.template for route in ROUTES if route.access == "open"}
    assert open_ == {
        "/",
        "/metadata/endpoints",
        "/discovery",
        "/discovery/{rest:path}",
        "/adfs/oauth2/token",
        "/{tenant}/oauth2/v2.0/token",
        "/adfs/.well-known/openid-configuration",
        "/{tenant}/v2.0/.well-known/openid-configuration",
        "/common/discovery/keys",
    }
    with _connection(emulator) as connection:
        for route in ROUTES:
            if route.access == "open":
                continue
            status, body, answered = _send(connection, route.method, _path(emulator, route), {})
            # A scoring host may say first that no endpoint has the name.
            allowed = (401, 403, 404, 409) if route.access in ("scoring", "sas") else (401,)
            assert status in allowed, (route.method, route.template, status, body)
            if route.access in ("read", "write"):
                assert answered["www-authenticate"].startswith("Bearer ")
                assert json.loads(body)["error"]["code"] == "AuthenticationFailed"


def _claims(emulator: Emulated) -> dict[str, object]:
    claims: dict[str, object] = jwt.decode(emulator.token(), options={"verify_signature": False})
    return claims


def _refused(emulator: Emulated, token: str) -> str:
    with emulator.plain(headers={"authorization": f"Bearer {token}"}) as client:
        reply = client.get(emulator.ws, params={"api-version": "2024-10-01-preview"})
    assert reply.status_code == 401, reply.text
    return str(reply.json()["error"]["code"])


def _hmac_signed(claims: Mapping[str, object], key: bytes) -> str:
    """As `jwt.encode` would with HS256, which refuses such a key."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    text = f"{part(json.dumps({'alg': 'HS256', 'typ': 'JWT'}).encode())}.{part(json.dumps(claims).encode())}"
    return f"{text}.{part(hmac.digest(key, text.encode(), 'sha256'))}"


def test_forged_tokens_are_refused(emulator: Emulated, emulate: Emulate) -> None:
    claims = _claims(emulator)
    good = emulator.token()
    head, body, signature = good.split(".")
    changed = base64.urlsafe_b64encode(json.dumps({**claims, "oid": str(uuid.uuid4())}).encode()).decode().rstrip("=")
    with emulator.plain() as client:
        key = client.get("/common/discovery/keys").json()["keys"][0]
    public = jwt.PyJWK(key).key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

    other = generate_private_key(65537, 2048)
    forged = {
        "no token at all": "x",
        "another body": f"{head}.{changed}.{signature}",
        "no signature": f"{head}.{body}.",
        "no algorithm": jwt.encode(claims, None, algorithm="none"),  # type: ignore[arg-type]
        "the public key as a secret": _hmac_signed(claims, public),
        "another key": jwt.encode(claims, other, algorithm="RS256"),
        "of another emulator": emulate().token(),
        "not ASCII": good + "é",
    }
    for what, token in forged.items():
        with _connection(emulator) as connection:
            status, reply, _ = _send(
                connection, "GET", f"{emulator.ws}?api-version=2024-10-01", {"Authorization": f"Bearer {token}"}
            )
        assert (status, json.loads(reply)["error"]["code"]) == (401, "InvalidAuthenticationToken"), what


def test_a_token_for_another_resource_or_of_yesterday_is_refused(emulate: Emulate) -> None:
    clock = MovedClock()
    emulator = emulate(clock=clock)
    assert _refused(emulator, emulator.token("https://ml.azure.localhost")) == "InvalidAuthenticationTokenAudience"
    token = emulator.token()
    clock.move(3598)
    with emulator.plain(headers={"authorization": f"Bearer {token}"}) as client:
        query = {"api-version": "2024-10-01-preview"}
        assert client.get(emulator.ws, params=query).status_code == 200
        clock.move(2)
        reply = client.get(emulator.ws, params=query)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, "ExpiredAuthenticationToken")


def test_no_token_is_given_for_a_wrong_secret_client_grant_or_resource(emulator: Emulated) -> None:
    good = {
        "grant_type": "client_credentials",
        "client_id": emulator.application.client_id,
        "client_secret": emulator.secret,
        "scope": f"{emulator.url}/.default",
    }
    cases = (
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_secret": ""}, 401, "invalid_client"),
        ({"client_id": str(uuid.uuid4())}, 401, "invalid_client"),
        ({"client_id": emulator.application.object_id}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "https://management.azure.com/.default"}, 400, "invalid_resource"),
    )
    with emulator.plain() as client:
        assert client.post("/adfs/oauth2/token", data=good).status_code == 200
        for change, status, code in cases:
            for path in ("/adfs/oauth2/token", f"/{emulator.names.tenant}/oauth2/v2.0/token"):
                reply = client.post(path, data={**good, **change})
                assert (reply.status_code, reply.json()["error"]) == (status, code)
                assert emulator.secret not in reply.text


def test_the_local_services_token_and_a_removed_principals_open_nothing(emulator: Emulated) -> None:
    place = ServicePlace(emulator.workspace.layout)
    assert _refused(emulator, place.make_token()) == "InvalidAuthenticationToken"
    application = emulator.principals.create("leaver")
    emulator.principals.enrol(application.id)
    secret = emulator.principals.add_secret(application.id, "x")
    token = emulator.token(client_id=application.client_id, secret=secret.text)
    emulator.principals.remove(application.id)
    with emulator.plain(headers={"authorization": f"Bearer {token}"}) as client:
        assert client.get(emulator.ws, params={"api-version": "2024-10-01"}).status_code == 403


def test_secrets_are_kept_as_hashes_and_files_of_their_owner(emulator: Emulated) -> None:
    emulator.token()
    root = emulator.workspace.root
    emulator.workspace.store.close()
    holding = [path for path in root.rglob("*") if path.is_file() and emulator.secret.encode() in path.read_bytes()]
    assert holding == [root / "secrets" / "principal-secret"]
    if os.name != "nt":
        private = [path for path in (root / "secrets").rglob("*") if path.is_file()]
        assert {path.name for path in private} >= {"principal-secret", "token-signing-key.pem", "emulator-tls.pem"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}
        assert stat.S_IMODE((root / "secrets").stat().st_mode) == 0o700
        assert stat.S_IMODE(root.stat().st_mode) == 0o700


def test_the_authoritys_key_is_gone_and_it_is_good_for_loopback_only(emulator: Emulated) -> None:
    found = tls.places(emulator.workspace.layout)
    authority = x509.load_pem_x509_certificate(found.authority.read_bytes())
    leaf = x509.load_pem_x509_certificate(found.server.read_bytes())
    keys = [path for path in emulator.workspace.root.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert sorted(path.name for path in keys) == ["emulator-tls.pem", "token-signing-key.pem"]
    signed_by = authority.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for path in keys:
        held = load_pem_private_key(path.read_bytes(), None).public_key()
        assert held.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) != signed_by
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    limits = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert limits.critical
    assert {str(each.value) for each in limits.value.permitted_subtrees or ()} == {"localhost", "127.0.0.1/32", "::1/128"}
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_certificate_is_renewed_by_a_new_authority_near_its_end(emulator: Emulated, tmp_path: Path) -> None:
    from opsml_cli.local.layout import Layout

    layout = Layout(tmp_path / ".opsml")
    now = datetime.now(UTC)
    first = tls.ensure(layout, now)
    before = first.authority.read_bytes()
    assert tls.ensure(layout, now + timedelta(days=300)).authority.read_bytes() == before
    later = tls.ensure(layout, now + timedelta(days=340))
    after = later.authority.read_bytes()
    assert after != before
    assert after in later.bundle.read_bytes()
    assert before not in later.bundle.read_bytes()
    # A pair that does not belong together, as after a kill between the two files, is made anew.
    first.authority.write_bytes(before)
    x509.load_pem_x509_certificate(tls.ensure(layout, now).server.read_bytes()).verify_directly_issued_by(
        x509.load_pem_x509_certificate(first.authority.read_bytes())
    )


def test_another_name_and_plain_http_are_not_answered(emulator: Emulated) -> None:
    context = ssl.create_default_context(cafile=str(emulator.bundle))
    with (
        socket.create_connection(("127.0.0.1", emulator.port), timeout=60) as plain,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        context.wrap_socket(plain, server_hostname="management.azure.com")
    with socket.create_connection(("127.0.0.1", emulator.port), timeout=60) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" not in plain.recv(100)


def test_bodies_are_bounded_and_nested_ones_refused(emulator: Emulated) -> None:
    with emulator.client() as client:
        path = f"{emulator.ws}/data/x/versions/1"
        large = client.put(path, content=b"x" * (5 << 20))
        assert (large.status_code, large.json()["error"]["code"]) == (413, "RequestContentTooLarge")
        for body in (b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b"[]", b"1"):
            assert client.put(path, content=body).status_code == 400


def test_clients_that_go_away_in_the_middle_disturb_nobody(emulator: Emulated) -> None:
    token = emulator.token()
    context = ssl.create_default_context(cafile=str(emulator.bundle))
    head = f"PUT {emulator.ws}/data/half/versions/1?api-version=2023-04-01 HTTP/1.1\r\nHost: localhost:{emulator.port}\r\n"
    for _ in range(30):
        with (
            socket.create_connection(("127.0.0.1", emulator.port), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as half,
        ):
            half.sendall(f"{head}Authorization: Bearer {token}\r\nContent-Length: 1000\r\n\r\n{{".encode())
    with emulator.client() as client:
        assert client.get(emulator.ws).status_code == 200
        assert client.get(f"{emulator.ws}/data/half/versions/1").status_code == 404


def test_an_unknown_route_is_named(emulator: Emulated) -> None:
    with emulator.client() as client:
        unknown = client.get(f"{emulator.ws}/nothing/of/this")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (501, "NotImplemented")
        assert f"GET {emulator.ws}/nothing/of/this" in unknown.json()["error"]["message"]
        assert client.get("/favicon.ico").status_code == 404
        assert client.delete(f"{emulator.ws}/data").status_code == 405


def test_a_defect_tells_nothing_of_the_inside(emulate: Emulate, caplog: pytest.LogCaptureFixture) -> None:
    emulator = emulate()
    with emulator.client() as client:
        with emulator.workspace.store.write() as connection:
            connection.execute("INSERT INTO principals(id, created_at, document) VALUES ('x', '0', 'the inside')")
        reply = client.get(emulator.ws)
    assert (reply.status_code, reply.json()["error"]["code"]) == (500, "InternalError")
    assert "inside" not in reply.text
    assert "Traceback" not in reply.text
    assert any(record.exc_info and "JSONDecodeError" in str(record.exc_info) for record in caplog.records)


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_the_process_listens_on_loopback_only(opsml: Opsml) -> None:
    try:
        up = json.loads(opsml("local", "up", "-o", "json").stdout)
        for pid in (up["pid"], up["emulator"]["pid"]):
            listening = [each.laddr for each in psutil.Process(pid).net_connections() if each.status == psutil.CONN_LISTEN]
            assert listening
            assert all(address.ip in ("127.0.0.1", "::1") for address in listening)
    finally:
        opsml("local", "down", "--yes")
