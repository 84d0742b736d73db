"""A scoring script and the requests that it is given, on Azure's server and on opsml's."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent

JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Send:
    """One request. `shown` are response headers to compare beside those that are always compared."""

    name: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: JSON)
    method: str = "POST"
    query: str = ""
    path: str = "/score"
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A folder of code with its requests. Without requests: whether it starts is what is compared. `logged`: what both logs
    must hold in the end. `model` are the files below AZUREML_MODEL_DIR; `packages` what the case is about beyond Python."""

    name: str
    files: dict[str, str | bytes]
    sends: tuple[Send, ...] = ()
    entry: str = "score.py"
    variables: dict[str, str] = field(default_factory=dict)
    model: dict[str, str] = field(default_factory=dict)
    logged: tuple[str, ...] = ()


def post(name: str, body: str | bytes = "{}", **options: object) -> Send:
    return Send(name, body.encode() if isinstance(body, str) else body, **options)  # type: ignore[arg-type]


def get(query: str = "", name: str = "", **options: object) -> Send:
    return Send(name or f"GET ?{query}", b"", {}, "GET", query, **options)  # type: ignore[arg-type]


def media(kind: str, body: bytes = b"a,b\n1,2\n") -> Send:
    return Send(kind, body, {"content-type": kind})


def script(text: str, name: str = "score.py", **others: str | bytes) -> dict[str, str | bytes]:
    return {name: dedent(text).lstrip()} | {key.replace("__", "/") + ".py": value for key, value in others.items()}


INIT = "def init(): pass\n"
ECHO = INIT + "def run(raw_data): return {'text': raw_data, 'type': type(raw_data).__name__}\n"
FORM = b"a=1&b=%C3%A9"
MULTIPART = b'--xyz\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nhello\r\n--xyz--\r\n'
