"""HTTP to Azure: one client, tokens, and patience with what passes by itself."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opsml_cli.azureml import errors
from opsml_cli.azureml.context import Answer, OperationState, Place
from opsml_cli.domain.clock import Clock, SystemClock
from opsml_cli.domain.errors import ContractError, NotFoundError, OpsmlError
from opsml_cli.domain.proxies import usable_proxies

if TYPE_CHECKING:
    import httpx

    from opsml_cli.azureml.auth import Identity
    from opsml_cli.azureml.cloud import Cloud

log = logging.getLogger("opsml.azure.rest")

ATTEMPTS = 5
_TRANSIENT = frozenset((408, 429, 500, 502, 503, 504))
_REPEATABLE = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))


class HttpRest:
    """HTTP to the Azure of one workspace, signed in, every failure translated to the error tree. `longest_wait` is in seconds,
    between two attempts, whatever the service asks for; `clock` and `jitter` (0 to 1) are handed in by tests.

    A path that begins with `/` lies below the resource manager; `{ws}` in it is the workspace's ARM id. `audience` says whose
    token is sent: None the resource manager's (the data plane takes it too), `ml`, `storage`, `graph`, or `none` for no token
    (a scoring key or signed URL).

    What is repeated, with `Retry-After` and jitter: any request that surely was not carried out (no connection, throttled), and
    after a fault of the server or a dropped connection those which may be carried out twice: all but POST and PATCH."""

    def __init__(
        self,
        place: Place,
        cloud: Cloud,
        identity: Identity,
        *,
        ca_bundle: str | None = None,
        longest_wait: float = 60.0,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        from opsml_cli.azureml.tls import load_httpx

        load_httpx()
        self._place = place
        self._cloud = cloud
        self._identity = identity
        self._ca_bundle = ca_bundle
        self._longest_wait = longest_wait
        self._clock = clock or SystemClock()
        self._jitter = jitter

    @cached_property
    def client(self) -> httpx.Client:
        """The one client, for whoever streams: it follows no redirect and sends no token by itself."""
        import httpx

        from opsml_cli import __version__
        from opsml_cli.azureml.tls import client_context

        with usable_proxies():
            return httpx.Client(
                verify=client_context(self._ca_bundle),
                timeout=httpx.Timeout(120.0, connect=20.0),
                follow_redirects=False,
                headers={"User-Agent": f"opsml/{__version__}", "Accept": "application/json"},
            )

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()

    # --- requests

    def get(self, path: str, version: str, *, audience: str | None = None, **query: str) -> Any:
        """The JSON body. NotFoundError for 404."""
        return _answer(self._exchange("GET", self._url(path, version, query), audience=audience)).value

    def find(self, path: str, version: str, *, audience: str | None = None, **query: str) -> Any | None:
        """As `get`, but None for 404."""
        try:
            return self.get(path, version, audience=audience, **query)
        except NotFoundError:
            return None

    def pages(self, path: str, version: str, *, audience: str | None = None, **query: str) -> Iterator[dict[str, Any]]:
        """The items of every page, following `nextLink`."""
        for page in self.whole_pages(path, version, audience=audience, **query):
            yield from page.get("value", [])

    def whole_pages(self, path: str, version: str, *, audience: str | None = None, **query: str) -> Iterator[dict[str, Any]]:
        """The pages themselves, following `nextLink`."""
        url = self._url(path, version, query)
        seen = set()
        while url:
            seen.add(url)
            page = _answer(self._exchange("GET", url, audience=audience)).value
            if not isinstance(page, dict) or not isinstance(page.get("value", []), list):
                raise ContractError(f"{self._shown(url)}: the answer is no page of a list")
            yield page
            following = page.get("nextLink") or ""
            if following in seen:
                raise ContractError(f"{self._shown(url)}: its pages go round in a circle")
            if following:
                self._same_origin(following, url)
            url = following

    def send(
        self,
        method: str,
        path: str,
        version: str,
        body: Any = None,
        *,
        audience: str | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """Any request. `repeatable` None: by the method; POST and PATCH are not repeated when they may have been done."""
        url = self._url(path, version, {})
        return _answer(self._exchange(method, url, body, audience=audience, headers=headers, repeatable=repeatable))

    def operation(self, answer: Answer) -> OperationState:
        """How the long-running operation stands that `answer` began: one poll, no waiting."""
        status_url = answer.headers.get("azure-asyncoperation")
        url = status_url or (answer.headers.get("location") if answer.status == 202 else None)
        if url is None:
            return OperationState(True)
        self._same_origin(url, self._cloud.resource_manager)
        poll = _answer(self._exchange("GET", url))
        document = poll.value if isinstance(poll.value, dict) else {}
        if status_url is None:
            return OperationState(None if poll.status == 202 else True)
        status = str(document.get("status", "")).casefold()
        if status == "succeeded":
            return OperationState(True)
        if status in ("failed", "canceled", "cancelled"):
            return OperationState(False, errors.failed(document, "the operation"))
        return OperationState(None)

    def blob(
        self, method: str, url: str, content: bytes | None = None, *, headers: Mapping[str, str], audience: str
    ) -> httpx.Response:
        """A request to the object storage, repeated whatever its method is: objects are written whole. `audience` `none`: the
        URL is signed and carries its own right."""
        return self._exchange(method, url, content, audience=audience, headers=headers, repeatable=True)

    # --- how

    def _url(self, path: str, version: str, query: Mapping[str, str]) -> str:
        import httpx

        url = path.replace("{ws}", self._place.arm_id)
        if url.startswith("/"):
            url = self._cloud.resource_manager + url
        values = {"api-version": version, **query} if version else dict(query)
        if not values:
            return url
        return f"{url}{'&' if '?' in url else '?'}{httpx.QueryParams(values)}"

    def _exchange(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        audience: str | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> httpx.Response:
        import httpx

        if urlsplit(url).scheme != "https":
            raise ContractError(f"{self._shown(url)} is no https URL, so no token is sent there")
        what = f"{method} {self._shown(url)}"
        client = self.client  # before signing in: a proxy that cannot be used would stop that too, with a worse error
        twice = method in _REPEATABLE if repeatable is None else repeatable
        content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        sent = dict(headers or {})
        if content is not None and not isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/json")
        renewed = uncertain = False
        attempt = 0
        while True:
            attempt += 1
            last = attempt >= ATTEMPTS
            if audience != "none":
                sent["Authorization"] = f"Bearer {self._identity.token(self._cloud.scope(audience or 'arm'))}"
            try:
                response = client.request(method, url, content=content, headers=sent)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                log.debug("%s: attempt %d: %r", what, attempt, error)
                unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) and "CERTIFICATE" not in str(error)
                broken = isinstance(error, httpx.TransportError) and not isinstance(error, httpx.ConnectError)
                if last or not (unsent or (broken and twice)):
                    raise self._translated(error, what, twice, broken) from error
                uncertain = uncertain or not unsent
                self._pause(attempt, None)
                continue
            log.debug("%s: attempt %d: HTTP %d", what, attempt, response.status_code)
            status = response.status_code
            if status == 401 and audience != "none" and not renewed:
                # The token ended, or its rights were withdrawn, in the middle of a wait.
                renewed = True
                self._identity.renew()
                continue
            if status in _TRANSIENT and not last and (twice or status == 429):
                uncertain = uncertain or status != 429
                self._pause(attempt, response.headers)
                continue
            if status == 404 and method == "DELETE" and uncertain:
                return response  # an attempt before this one did it
            if status >= 300:
                raise errors.refused(status, response.text, what, response.headers)
            return response

    def _translated(self, error: Exception, what: str, twice: bool, broken: bool) -> OpsmlError:
        found = errors.translate(error, what)
        assert found is not None
        if broken and not twice and found.cause is not None:
            found.cause += "; the request may have been carried out all the same"
        return found

    def _pause(self, attempt: int, headers: Mapping[str, str] | None) -> None:
        asked = retry_after(headers or {})
        wait = 0.5 * 2 ** (attempt - 1) if asked is None else asked
        wait = min(wait, self._longest_wait)
        self._clock.sleep(wait + self._jitter() * min(wait, 5.0) * 0.5)

    def _same_origin(self, url: str, reference: str) -> None:
        """A link in an answer is followed, with a token, only where the answer came from."""
        if urlsplit(url)[:2] != urlsplit(reference)[:2]:
            raise ContractError(f"an answer of {urlsplit(reference).netloc} leads to {urlsplit(url).netloc or url!r}")

    def _shown(self, url: str) -> str:
        """The path below the workspace, without the query: it may be signed."""
        path = url.partition("?")[0].removeprefix(self._cloud.resource_manager)
        before, found, below = path.partition(self._place.arm_id)
        return (below or "workspace").lstrip("/") if found and not before else path


def _answer(response: httpx.Response) -> Answer:
    try:
        value = response.json() if response.content else None
    except ValueError:
        value = None
    return Answer(response.status_code, {name.lower(): text for name, text in response.headers.items()}, value, response.text)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that the service asks to wait; None when it does not say."""
    for name, unit in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name)
        if not text:
            continue
        try:
            return max(float(text) * unit, 0.0)
        except ValueError:
            pass
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            continue
        from datetime import UTC, datetime

        return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
    return None
