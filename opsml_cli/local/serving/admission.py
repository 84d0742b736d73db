"""What is looked at before a request is answered: key, media type; and the headers of requests and replies."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from opsml_cli.guard import bearer, same_secret

DEPLOYMENT_HEADER = b"azureml-model-deployment"
MODEL_HEADER = b"x-opsml-model"  # NAME:VERSION of the model that answered
REVISION_HEADER = b"x-opsml-revision"  # picks a model that is loaded but not live yet: the proof before the swap
JSON = b"application/json"

Headers = list[tuple[bytes, bytes]]

_PROCESS = secrets.token_hex(8).encode()
_number = count(1)


def request_id() -> bytes:
    """A new id of a request: unique, and no secret."""
    return b"%b%016x" % (_PROCESS, next(_number))


class Refused(Exception):  # noqa: N818 - a reply, not a failure
    def __init__(self, status: int, code: str, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = json.dumps({"error": {"code": code, "message": message}}).encode()
        self.headers = headers or []


class Admission:
    """Who may ask. `rekey` is asked, when a key is refused, whether the secrets have changed on disk; it returns the keys of
    now."""

    def __init__(self, rekey: Callable[[], tuple[bytes, ...]] | None = None) -> None:
        self._rekey = rekey

    def authenticate(self, headers: Sequence[tuple[bytes, bytes]], keys: tuple[bytes, ...]) -> None:
        """Refused unless the request shows one of `keys`."""
        token = bearer({"headers": headers})
        if token is not None:
            if knows(token, keys):
                return
            # A key that was made an instant ago is honoured before the server is told of it.
            if self._rekey is not None and knows(token, self._rekey()):
                return
        message = "this key is not (or no longer) valid" if token else "send the endpoint's key as 'Authorization: Bearer KEY'"
        raise Refused(401, "unauthorized", message, [(b"www-authenticate", b"Bearer")])


def knows(token: bytes, keys: tuple[bytes, ...]) -> bool:
    """Whether `token` is one of `keys`. Every key is compared, whichever fits: the time tells nothing."""
    return sum([same_secret(token, key) for key in keys]) > 0


def check_media(headers: Mapping[bytes, bytes]) -> None:
    """JSON in UTF-8, not compressed. No content type at all passes: no web page can send that."""
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        raise Refused(415, "unsupported_media_type", "send the body without a content encoding")
    given = headers.get(b"content-type")
    if given is None:
        return
    media, _, parameters = given.lower().partition(b";")
    media = media.strip()
    if media != JSON and not (media.startswith(b"application/") and media.endswith(b"+json")):
        raise Refused(415, "unsupported_media_type", "the content type is application/json")
    if b"charset" in parameters and b"utf-8" not in parameters and b"utf8" not in parameters:
        raise Refused(415, "unsupported_media_type", "the charset is utf-8")


def printable(value: bytes | None) -> bytes | None:
    """A client's id as it may be sent back: short and printable."""
    return value if value and len(value) <= 128 and all(32 < byte < 127 for byte in value) else None
