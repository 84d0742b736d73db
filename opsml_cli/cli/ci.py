"""GitHub Actions and Azure Pipelines: job outputs, summaries, annotations, masks.

Commands to the runner are lines of text. Everything in them is escaped as the runner's own toolkit does it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Protocol

Say = Callable[[str], None]


class Provider(Protocol):
    """A CI system. `say` writes one line where the runner reads it."""

    def annotation(self, message: str) -> str | None: ...
    def mask(self, secret: str) -> str | None: ...
    def outputs(self, values: Mapping[str, str], say: Say) -> None: ...
    def summary(self, markdown: str, say: Say) -> None: ...


def provider(environment: Mapping[str, str]) -> Provider | None:
    """The CI system that this process runs in, or None."""
    if environment.get("GITHUB_ACTIONS", "").lower() == "true":
        return GitHub(environment)
    if environment.get("TF_BUILD", "").lower() == "true":
        return AzurePipelines(environment)
    return GitHubFiles(environment) if environment.get("GITHUB_OUTPUT") or environment.get("GITHUB_STEP_SUMMARY") else None


class GitHub:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._outputs = environment.get("GITHUB_OUTPUT")
        self._summary = environment.get("GITHUB_STEP_SUMMARY")

    def annotation(self, message: str) -> str | None:
        return f"::error title=opsml::{_percent(message)}"

    def mask(self, secret: str) -> str | None:
        return f"::add-mask::{_percent(secret)}"

    def outputs(self, values: Mapping[str, str], say: Say) -> None:  # noqa: ARG002 - files, no commands
        if self._outputs and values:
            # A delimiter that no value can hold ends each one.
            end = f"opsml-{_random()}"
            lines = "".join(f"{name}<<{end}\n{value}\n{end}\n" for name, value in values.items())
            _append(self._outputs, lines)

    def summary(self, markdown: str, say: Say) -> None:  # noqa: ARG002
        if self._summary:
            _append(self._summary, markdown if markdown.endswith("\n") else markdown + "\n")


class GitHubFiles(GitHub):
    """A system that has GitHub's files and does not read commands."""

    def annotation(self, message: str) -> str | None:  # noqa: ARG002
        return None

    def mask(self, secret: str) -> str | None:  # noqa: ARG002
        return None


class AzurePipelines:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._folder = environment.get("AGENT_TEMPDIRECTORY")

    def annotation(self, message: str) -> str:
        return f"##vso[task.logissue type=error]{_azure(message)}"

    def mask(self, secret: str) -> str:
        return f"##vso[task.setsecret]{_azure(secret)}"

    def outputs(self, values: Mapping[str, str], say: Say) -> None:
        for name, value in values.items():
            say(f"##vso[task.setvariable variable={_azure(name, property_=True)};isOutput=true]{_azure(value)}")

    def summary(self, markdown: str, say: Say) -> None:
        if self._folder:
            path = f"{self._folder}{os.sep}opsml-{_random()}.md"
            _append(path, markdown)
            say(f"##vso[task.uploadsummary]{_azure(path)}")


def _random() -> str:
    import secrets

    return secrets.token_hex(16)


def _percent(text: str) -> str:
    """As GitHub's toolkit escapes the data of a command."""
    for character in "%\r\n":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _azure(text: str, *, property_: bool = False) -> str:
    """As Azure's task library escapes data and properties."""
    text = text.replace("%", "%AZP25")
    for character in "\r\n" + ("];" if property_ else ""):
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _append(path: str, content: str) -> None:
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        file.write(content)
