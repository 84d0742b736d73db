"""Swagger UI in a real browser: 'Try it out' works with no key typed, and nothing leaves this machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from telemetry_live import PRIMARY, scoring_server, serving

from opsml_cli.guard import Guard, loopback_names
from opsml_cli.swagger_ui import Page, Target

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

# CI on Linux installs them; there, a missing browser fails instead of being passed over.
REQUIRED = sys.platform == "linux" and os.environ.get("CI") == "true"
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER) and not REQUIRED, reason="no chromium and chromedriver here")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    profile = tmp_path_factory.mktemp("chromium")
    for flag in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "disable-dev-shm-usage",
        "window-size=1200,2000",
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with scoring_server() as (upstream, _):

        def document() -> dict[str, object]:
            return httpx.get(upstream + "/swagger.json", headers={"authorization": f"Bearer {PRIMARY}"}, trust_env=False).json()

        page = Page(Target("bank", lambda: upstream, lambda: PRIMARY, document))
        with serving(lambda port: Guard(page, loopback_names(port))) as port:
            yield f"http://127.0.0.1:{port}/{page.token}/"


def until(condition: Callable[[], object], seconds: float = 30.0) -> object:
    from selenium.common.exceptions import WebDriverException

    deadline = time.monotonic() + seconds
    while True:
        try:
            found = condition()
        except WebDriverException:
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, "the page did not get there in time"
        time.sleep(0.05)


def requested(browser) -> list[str]:
    """Addresses that the browser asked for since the last call."""
    found = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.append(message["params"]["request"]["url"])
    return found


def test_try_it_out_scores_a_row_and_nothing_leaves_the_machine(browser, url: str, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    browser.get_log("browser")
    requested(browser)
    browser.get(url)
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, ".opblock")) == 4)
    shown = {element.text for element in browser.find_elements(By.CSS_SELECTOR, ".opblock-summary-path")}
    assert {text.replace("\u200b", "") for text in shown} == {"/score", "/", "/swagger.json", "/metrics"}
    assert not browser.find_elements(By.CSS_SELECTOR, ".authorize"), "no key is asked for"

    block = browser.find_element(By.CSS_SELECTOR, ".opblock-post")
    block.find_element(By.CSS_SELECTOR, ".opblock-summary-control").click()
    until(lambda: block.find_element(By.CSS_SELECTOR, ".try-out__btn")).click()
    text = until(lambda: block.find_element(By.CSS_SELECTOR, ".body-param__text"))
    assert "housemaid" in text.get_attribute("value")
    until(lambda: block.find_element(By.CSS_SELECTOR, ".execute")).click()
    status = until(lambda: block.find_element(By.CSS_SELECTOR, ".live-responses-table .response .response-col_status").text)
    assert status.split()[0] == "200"
    reply = until(lambda: block.find_element(By.CSS_SELECTOR, ".live-responses-table .response .highlight-code").text)
    assert "yes" in reply
    assert PRIMARY not in browser.page_source

    loud = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert loud == []
    addresses = requested(browser)
    assert any(address.endswith("/proxy/score") for address in addresses)
    foreign = {address for address in addresses if urlsplit(address).hostname not in ("127.0.0.1", None, "")}
    assert {
        address for address in foreign if not address.startswith(("data:", "blob:", "chrome:", "chrome-untrusted:"))
    } == set()


class Stranger:
    """A page of another origin on the same machine."""

    async def __call__(self, scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": b"<!doctype html><title>stranger</title>"})


FETCH = """
const done = arguments[arguments.length - 1];
fetch(arguments[0], arguments[1]).then(
  reply => reply.text().then(text => done({status: reply.status, type: reply.type, text: text})),
  error => done({failed: String(error)}));
"""


@pytest.mark.parametrize(
    "options",
    [
        {"method": "POST", "body": "{}"},
        {"method": "POST", "body": "{}", "headers": {"content-type": "application/json"}},
        {"method": "GET"},
        {"method": "POST", "body": "{}", "mode": "no-cors"},
        {"method": "GET", "mode": "no-cors"},
    ],
)
def test_a_page_of_another_origin_gets_nothing_even_with_the_path(browser, url: str, options: dict[str, object]) -> None:
    with serving(lambda port: Stranger()) as port:
        browser.get(f"http://localhost:{port}/")
        rest = "proxy/score" if options["method"] == "POST" else "proxy/"
        answer = browser.execute_async_script(FETCH, url + rest, options)
    assert "failed" in answer or (answer["type"] == "opaque" and answer["text"] == "")


def test_another_page_cannot_frame_or_embed_it(browser, url: str) -> None:
    with serving(lambda port: Stranger()) as port:
        browser.get(f"http://localhost:{port}/")
        script = """
        const done = arguments[arguments.length - 1];
        const script = document.createElement("script");
        script.src = arguments[0];
        script.onload = () => done("loaded");
        script.onerror = () => done("refused");
        document.head.append(script);
        """
        assert browser.execute_async_script(script, url + "start.js") == "refused"


def test_a_name_that_was_rebound_to_this_machine_is_refused(url: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        connection.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: evil.example:{parts.port}\r\nConnection: close\r\n\r\n".encode()
        )
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
    assert reply.startswith(b"HTTP/1.1 421")
    assert b"swagger" not in reply
