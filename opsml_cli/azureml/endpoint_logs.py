"""What the containers of a deployment printed: Azure hands out the last lines, as one text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from opsml_cli.domain.errors import OpsmlError
from opsml_cli.domain.log_text import level_of, split_time

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context

VERSION = "2023-10-01"
# First the model is brought, then the server loads it.
CONTAINERS = ("StorageInitializer", "InferenceServer")
MOST = 5000  # lines that are asked for
_CAUSE = re.compile(r"^(?:\w+\.)*\w*(?:Error|Exception)\b.*|.*\b(?:ERROR|CRITICAL|FATAL)\b.*", re.ASCII)
_HEADS = ("Instance status:", "Container events:", "Container logs:")


class Printed(NamedTuple):
    """One line of a container. `moment` is seconds since the epoch, None where it and all before it have no time."""

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
    """The lines of Azure's text, without the status of instances above them."""
    lines = content.replace("\r\n", "\n").split("\n")
    found: list[Printed] = []
    moment: float | None = None
    for text in _printed(lines):
        own, rest = split_time(text)
        moment = own if own is not None else moment
        if rest.strip():
            found.append(Printed(moment, level_of(rest), rest))
    return found


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
            return lines[-1].text.strip()
    return None


def cause(context: Context, endpoint: str, deployment: str) -> str | None:
    """Why a deployment failed, by its own words: the last line of an error in either container, else the last line."""
    last: str | None = None
    for container in reversed(CONTAINERS):
        try:
            lines = [line.text.strip() for line in fetch(context, endpoint, deployment, container, 200)]
        except OpsmlError:
            continue
        found = next((text for text in reversed(lines) if _CAUSE.match(text)), None)
        if found is not None:
            return found
        last = last or (lines[-1] if lines else None)
    return last
