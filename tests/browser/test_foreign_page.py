"""A page of another origin, in a real browser, against the emulator and the local service: it changes and reads nothing.

The page knows more than it should: addresses, a stolen bearer token, a signed address of a blob. The browser is told to pass
over the certificate, so that what holds is the servers' own refusal."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from emulator_support import Emulated, emulated

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
REQUIRED = sys.platform == "linux" and os.environ.get("CI") == "true"
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER) and not REQUIRED, reason="no chromium and chromedriver here")

# What a page can try on an address: it returns what the page learned. `opaque` is an answer that no script can look into.
ATTEMPTS = """
const [url, method, headers, body, done] = arguments;
const learned = [];
const attempt = async (name, options) => {
  try {
    const answer = await fetch(url, options);
    learned.push([name, answer.type, answer.type === "opaque" ? "" : await answer.text()]);
  } catch (error) { learned.push([name, "refused", String(error)]); }
};
(async () => {
  await attempt("with headers", {method, headers, body: method === "GET" ? undefined : body});
  await attempt("without cors", {method: method === "GET" ? "GET" : "POST", mode: "no-cors",
                                 body: method === "GET" ? undefined : body});
  await attempt("with credentials", {method: "GET", credentials: "include"});
  await new Promise(next => {
    const script = document.createElement("script");
    script.src = url; script.onload = script.onerror = next;
    document.head.append(script);
  });
  if (method !== "GET") {
    const frame = document.createElement("iframe"); frame.name = `out-${performance.now()}`; document.body.append(frame);
    const form = document.createElement("form");
    form.action = url; form.method = "POST"; form.target = frame.name; form.enctype = "text/plain";
    const field = document.createElement("input"); field.name = body; field.value = "";
    form.append(field); document.body.append(form);
    await new Promise(next => { frame.onload = next; form.submit(); });
  }
  done(learned);
})();
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking", "disable-sync",
                 "disable-component-update", "disable-dev-shm-usage", "ignore-certificate-errors",
                 f"user-data-dir={tmp_path_factory.mktemp('chromium')}"):  # fmt: skip
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def foreign(browser: Any) -> Iterator[Any]:
    """The browser, on a page of another origin."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html><title>elsewhere</title>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    browser.get(f"http://127.0.0.1:{server.server_address[1]}/")
    yield browser
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(tmp_path_factory.mktemp("emulator")) as found:
        yield found


def tried(browser: Any, url: str, method: str, headers: dict[str, str], body: str = "{}") -> None:
    """Whatever the page does with the address, it learns nothing."""
    learned = browser.execute_async_script(ATTEMPTS, url, method, headers, body)
    assert {name for name, _, _ in learned} == {"with headers", "without cors", "with credentials"}
    for name, kind, text in learned:
        assert kind in {"refused", "opaque"}, (name, kind, text)


def test_the_emulator_with_a_stolen_token(foreign: Any, site: Emulated) -> None:
    stolen = {"Authorization": f"Bearer {site.token()}", "Content-Type": "application/json"}
    body = '{"properties": {"dataUri": "https://x.example", "dataType": "uri_file"}}'
    for path, method in (
        ("/data/theirs/versions/1", "PUT"),
        ("/data", "GET"),
        ("/datastores/workspaceblobstore/listSecrets", "POST"),
    ):
        tried(foreign, f"{site.url}{site.ws}{path}?api-version=2023-04-01-preview", method, stolen, body)
    with site.client() as client:
        assert client.get(f"{site.ws}/data", params={"api-version": "2023-04-01-preview"}).json()["value"] == []


def test_the_emulator_s_sign_in_with_a_stolen_secret(foreign: Any, site: Emulated) -> None:
    """Not even a token is given to a page that knows the secret."""
    form = (
        f"grant_type=client_credentials&client_id={site.application.client_id}"
        f"&client_secret={site.secret}&scope={site.url}/.default"
    )
    tried(foreign, f"{site.url}/adfs/oauth2/token", "POST", {"Content-Type": "application/x-www-form-urlencoded"}, form)


def test_a_signed_address_of_a_blob(foreign: Any, site: Emulated) -> None:
    with site.client() as client:
        store = client.get(f"{site.ws}/datastores/workspaceblobstore").json()["properties"]
        secrets = client.post(
            f"{site.ws}/datastores/workspaceblobstore/listSecrets", json={"expirableSecret": True, "expireAfterHours": 1}
        ).json()
    blob = f"https://{store['accountName']}.blob.core.windows.net/{store['containerName']}/page.txt{secrets['sasToken']}"
    tried(foreign, blob, "PUT", {"x-ms-blob-type": "BlockBlob"}, "written by a page")
    with site.plain() as plain:
        assert plain.head(blob).status_code == 404


def test_the_local_service_with_a_stolen_token(foreign: Any, tmp_path: Path, clean_environment: dict[str, str]) -> None:
    def opsml(*words: str) -> str:
        command = [sys.executable, "-m", "opsml_cli", *words]
        done = subprocess.run(command, cwd=tmp_path, env=clean_environment, capture_output=True, timeout=120, check=True)
        return done.stdout.decode()

    (tmp_path / "p.yml").write_text(
        "type: pipeline\njobs:\n  say:\n    type: command\n    command: echo hello\n    environment: azureml:none:1\n"
    )
    opsml("pipeline", "publish", "p.yml", "--name", "say")
    try:
        url, token = opsml("pipeline", "url", "say").strip(), opsml("local", "token").strip()
        stolen = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        tried(foreign, url, "POST", stolen)
        assert opsml("jobs", "list", "-o", "tsv") == ""
        # The token was good: the same request from no page starts a run.
        assert httpx.post(url, headers=stolen, json={}, trust_env=False).status_code == 201
    finally:
        opsml("local", "down", "--jobs", "--yes")
