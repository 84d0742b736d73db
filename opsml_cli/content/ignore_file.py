"""`.amlignore` and `.gitignore`: which files of a code folder stay out of its snapshot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FILES = (".amlignore", ".gitignore")  # as on Azure: the first that is there counts
_ALWAYS = ("__pycache__/", ".git/", ".opsml/", ".ipynb_checkpoints/", ".DS_Store", *FILES)
_MAX_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    keep: bool
    folders_only: bool


class IgnoreRules:
    """Rules in git's syntax; the last one that matches decides."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._rules = [rule for line in (*_ALWAYS, *lines) if (rule := _rule(line)) is not None]

    @classmethod
    def of(cls, folder: Path) -> IgnoreRules:
        for name in FILES:
            path = folder / name
            if path.is_file():
                with path.open(encoding="utf-8", errors="replace") as file:
                    return cls(file.read(_MAX_BYTES).splitlines())
        return cls(())

    def ignores(self, path: str, *, folder: bool) -> bool:
        """Whether `path` (from the code folder, with `/`) stays out. A folder that stays out takes all below with it."""
        decided = False
        for rule in self._rules:
            if rule.pattern.match(path) and (folder or not rule.folders_only):
                decided = not rule.keep
        return decided


def _rule(line: str) -> _Rule | None:
    text = line.rstrip("\r\n")
    text = text.rstrip(" ") if not text.endswith("\\ ") else text
    if not text or text.startswith("#"):
        return None
    keep = text.startswith("!")
    text = text[1:] if keep else text.removeprefix("\\")
    folders_only = text.endswith("/")
    text = text.rstrip("/")
    anchored = "/" in text
    text = text.lstrip("/")
    if not text:
        return None
    try:
        pattern = re.compile(("" if anchored else "(?:.*/)?") + _expression(text) + r"\Z", re.DOTALL)
    except re.error:
        return None
    return _Rule(pattern, keep, folders_only)


@lru_cache(maxsize=256)
def _expression(text: str) -> str:
    """git's wildcards as a regular expression: `*` and `?` stay inside one folder, `**` crosses them."""
    result, position = "", 0
    while position < len(text):
        if text.startswith("**/", position):
            result, position = result + "(?:.*/)?", position + 3
        elif text.startswith("**", position):
            result, position = result + ".*", position + 2
        elif text[position] == "*":
            result, position = result + "[^/]*", position + 1
        elif text[position] == "?":
            result, position = result + "[^/]", position + 1
        elif text[position] == "[" and (end := text.find("]", position + 2)) > 0:
            body = re.sub(r"[\\\[&~|]", r"\\\g<0>", text[position + 1 : end])
            body = "^" + body[1:] if body.startswith("!") else body
            result, position = f"{result}[{body}]", end + 1
        elif text[position] == "\\" and position + 1 < len(text):
            result, position = result + re.escape(text[position + 1]), position + 2
        else:
            result, position = result + re.escape(text[position]), position + 1
    return result
