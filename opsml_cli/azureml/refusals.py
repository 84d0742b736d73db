"""Reading Azure's error bodies, in each of their forms."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_LONGEST = 600


@dataclass(frozen=True, slots=True)
class Refusal:
    """What an error body says. `codes` are all of them, outermost first; `fields` what was wrong, by field."""

    message: str
    codes: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    request_id: str | None = None

    @property
    def everything(self) -> str:
        """The message, and what was said of fields."""
        return " ".join([self.message, *self.fields.values()])

    def told(self) -> str | None:
        """What Azure said, for the error's cause."""
        more = [f"{name}: {text}" if name else text for name, text in self.fields.items() if text not in self.message]
        text = short(" ".join([self.message, *more]))
        return f"{text} (request {self.request_id})" if text and self.request_id else text or None

    def has(self, *wanted: str) -> bool:
        """Whether one of the codes is one of `wanted`, whatever its case."""
        return any(code.casefold() in {each.casefold() for each in wanted} for code in self.codes)


def read_refusal(text: str, headers: Mapping[str, str] | None = None) -> Refusal:
    """An error body in any form: the resource manager's, the data plane's, the identity service's, a blob's XML."""
    named = {name.lower(): value for name, value in (headers or {}).items()}
    request = named.get("x-ms-correlation-request-id") or named.get("x-ms-request-id")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        code = named.get("x-ms-error-code") or _tag(text, "Code")
        message = _tag(text, "Message") or re.sub(r"<[^>]*>", " ", text)
        return Refusal(short(message), (code,) if code else (), {}, request)
    if not isinstance(document, dict):
        return Refusal(short(str(document)), (), {}, request)
    return read_document(document, request)


def read_document(document: Mapping[str, Any], request: str | None = None) -> Refusal:
    """As `read_refusal`, for a body that was parsed."""
    error = document.get("error", document)
    if isinstance(error, str):  # the identity endpoints: {"error": code, "error_description": text}
        return Refusal(short(str(document.get("error_description") or document.get("message") or error)), (error,), {}, request)
    if not isinstance(error, Mapping):
        return Refusal("", (), {}, request)
    codes = [str(error["code"])] if error.get("code") else []
    codes += _inner(error.get("innerError") or error.get("innererror"))
    for info in error.get("additionalInfo") or ():
        if isinstance(info, Mapping) and info.get("type") == "InnerError" and isinstance(info.get("info"), Mapping):
            codes += _inner(info["info"].get("value"))
    fields = _problems(error)
    message = str(error.get("message") or error.get("title") or error.get("detail") or "")
    for detail in error.get("details") or ():
        if isinstance(detail, Mapping):
            codes += [str(detail["code"])] if detail.get("code") else []
            target = detail.get("target") or (error.get("target") if len(error["details"]) == 1 else None)
            if target and detail.get("message"):
                fields.setdefault(str(target), str(detail["message"]))
            elif detail.get("message") and str(detail["message"]) not in message:
                message = f"{message} {detail['message']}".strip()
    inside = re.search(r"\{.*\}\Z", message, re.DOTALL)  # inferencing packs a problem document into its message
    if inside is not None:
        try:
            packed = json.loads(inside.group())
        except ValueError:
            packed = None
        if isinstance(packed, Mapping):
            fields |= _problems(packed)
    return Refusal(short(message), tuple(dict.fromkeys(codes)), fields, request)


def _inner(value: object) -> list[str]:
    codes: list[str] = []
    while isinstance(value, Mapping) and len(codes) < 10:
        if value.get("code"):
            codes.append(str(value["code"]))
        value = value.get("innerError") or value.get("innererror")
    return codes


def _problems(document: Mapping[str, Any]) -> dict[str, str]:
    """`errors` of a problem document: messages by field."""
    found: dict[str, str] = {}
    errors = document.get("errors")
    if isinstance(errors, Mapping):
        for name, messages in errors.items():
            texts = messages if isinstance(messages, list) else [messages]
            found[str(name)] = short("; ".join(str(text) for text in texts))
    return found


def _tag(text: str, name: str) -> str:
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return found.group(1) if found else ""


def short(text: str) -> str:
    """`text` as one line that is not too long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
