"""What the containers of a deployment printed: Azure hands out the last lines, as one text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from opsml_cli.domain.errors import OpsmlError
from opsml_cli.domain.log_text import LONGEST_BLOCK, TRACEBACK, split_level, split_time

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context

VERSION = "2023-10-01"
# First the model is brought, then the server loads it.
CONTAINERS = ("StorageInitializer", "InferenceServer")
MOST = 5000  # lines that are asked for
_CHAINS = ("During handling of the above exception", "The above exception was the direct cause")
_INDENTS = (" ", "\t", "|", "+")
_CAUSE = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception)\b.*", re.ASCII)
_HEADS = ("Instance status:", "Container events:", "Container logs:")


class Printed(NamedTuple):
    """One entry of a container's log: a line, or a traceback with all of its lines. `moment` is seconds since the epoch,
    None where it and all before it have no time; the level that a logger wrote before the words is not in `text`."""

    moment: float | None
    level: str
    text: str


def fetch(context: Context, endpoint: str, deployment: str, container: str, tail: int) -> list[Printed]:
    """The last `tail` lines of a container, oldest first."""
    path = f"{{ws}}/onlineEndpoints/{endpoint}/deployments/{deployment}/getLogs"
    body = {"containerType": container, "tail": min(max(tail, 1), MOST)}
    answer = context.rest.send("POST", path, VERSION, body, repeatable=True)
    content = answer.value.get("content") if isinstance(answer.value, dict) else answer.value
    return parse(str(content or ""))


def parse(content: str) -> list[Printed]:
    """The entries of Azure's text, without the status of instances above them."""
    lines = content.replace("\r\n", "\n").split("\n")
    found: list[Printed] = []
    moment: float | None = None
    inside = False  # a traceback whose exception has not come yet
    logged = False  # the last entry has a time of its own
    for text in _printed(lines):
        own, rest = split_time(text)
        moment = own if own is not None else moment
        if not rest.strip():
            continue
        if found and own is None and _continues(found[-1], rest, inside=inside, logged=logged):
            found[-1] = found[-1]._replace(text=f"{found[-1].text}\n{rest}")
            inside = rest.startswith((TRACEBACK, *_CHAINS)) or (inside and rest[:1] in _INDENTS)
            continue
        level, words = split_level(rest)
        found.append(Printed(moment, level, words))
        inside, logged = words.startswith(TRACEBACK), own is not None
    return found


def _continues(entry: Printed, line: str, *, inside: bool, logged: bool) -> bool:
    """Whether a line without a time belongs to the entry before it."""
    if len(entry.text) >= LONGEST_BLOCK:
        return False
    if inside:
        return True
    if line.startswith(TRACEBACK):  # logging.exception writes its message first
        return logged and entry.level == "error" and "\n" not in entry.text and not entry.text.startswith(TRACEBACK)
    return TRACEBACK in entry.text and line.startswith(_CHAINS)


def _printed(lines: list[str]) -> list[str]:
    """What follows the last heading: behind `Container logs:` all of it, behind the others what follows a blank line."""
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].strip() == _HEADS[2]:
            return lines[index + 1 :]
    start = 0
    while start < len(lines) and lines[start].strip() in _HEADS:
        while start < len(lines) and lines[start].strip():
            start += 1
        while start < len(lines) and not lines[start].strip():
            start += 1
    return lines[start:]


def last_line(context: Context, endpoint: str, deployment: str) -> str | None:
    """What a deployment that comes up said last; None when it said nothing, or nobody may look."""
    for container in reversed(CONTAINERS):
        try:
            lines = fetch(context, endpoint, deployment, container, 5)
        except OpsmlError:
            continue
        if lines:
            return lines[-1].text.strip().rpartition("\n")[2]
    return None


def cause(context: Context, endpoint: str, deployment: str) -> str | None:
    """Why a deployment failed, by its own words: the last line of an error in either container, else the last line."""
    last: str | None = None
    for container in reversed(CONTAINERS):
        try:
            entries = fetch(context, endpoint, deployment, container, 200)
        except OpsmlError:
            continue
        ends = [(entry.level, entry.text.strip().rpartition("\n")[2]) for entry in entries]
        found = next((text for level, text in reversed(ends) if level == "error" or _CAUSE.match(text)), None)
        if found is not None:
            return found
        last = last or (ends[-1][1] if ends else None)
    return last
