"""Azure ML's binding expressions: `${{ … }}` in step inputs and commands, and `$[[ … ]]` around optional text.

A template is text with references in it. Parsing loses nothing: joining the `text` of its parts gives the source again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)


class Scope(StrEnum):
    """What a reference points at."""

    INPUT = "inputs"  # ${{inputs.x}}: the step's own
    OUTPUT = "outputs"  # ${{outputs.x}}
    PARENT_INPUT = "parent.inputs"  # ${{parent.inputs.x}}: the pipeline's
    PARENT_OUTPUT = "parent.outputs"  # ${{parent.outputs.x}}
    STEP_OUTPUT = "parent.jobs"  # ${{parent.jobs.step.outputs.x}}
    RUN_NAME = "parent.name"  # ${{parent.name}}: what the run is called


class BindingError(ValueError):
    """An expression that cannot be read. `message` is one line."""

    def __init__(self, message: str, cause: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Reference:
    """One `${{ … }}`. `step` only for STEP_OUTPUT; `text` is the expression as it was written."""

    scope: Scope
    name: str
    text: str
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Literal:
    """Text between references."""

    text: str


@dataclass(frozen=True, slots=True)
class Optional:
    """`$[[ … ]]`: left out when one of its references has no value."""

    parts: tuple[Literal | Reference, ...]

    @property
    def text(self) -> str:
        return "$[[" + "".join(part.text for part in self.parts) + "]]"


Part = Literal | Reference | Optional


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text."""

    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)

    @property
    def only(self) -> Reference | None:
        """The reference, when the whole text is one and nothing else (blanks around it do not count)."""
        rest = [part for part in self.parts if not (isinstance(part, Literal) and not part.text.strip())]
        return rest[0] if len(rest) == 1 and isinstance(rest[0], Reference) else None

    def references(self) -> Iterator[tuple[Reference, bool]]:
        """Every reference, and whether it stands in an optional section."""
        for part in self.parts:
            if isinstance(part, Reference):
                yield part, False
            elif isinstance(part, Optional):
                for inner in part.parts:
                    if isinstance(inner, Reference):
                        yield inner, True

    def render(self, value: Callable[[Reference], str | None]) -> str:
        """The text with every reference replaced. `value` gives None for a reference that has no value: an optional
        section around it is left out, and nothing remains of it elsewhere."""
        result: list[str] = []
        for part in self.parts:
            if isinstance(part, Literal):
                result.append(part.text)
            elif isinstance(part, Reference):
                result.append(value(part) or "")
            else:
                inner = [item.text if isinstance(item, Literal) else value(item) for item in part.parts]
                if None not in inner:
                    result.append("".join(text for text in inner if text is not None))
        return "".join(result)


def has_binding(text: str) -> bool:
    return "${{" in text


def parse(text: str) -> Template:
    """Read `text`; BindingError when an expression is not closed, not known, or an optional section is nested."""
    parts: list[Part] = []
    position = 0
    while position < len(text):
        start = text.find("$[[", position)
        if start < 0:
            parts.extend(_plain(text[position:]))
            break
        end = _end_of_optional(text, start + 3)
        body = text[start + 3 : end]
        if "$[[" in body:
            raise BindingError("an optional section `$[[ … ]]` cannot hold another one")
        parts.extend(_plain(text[position:start]))
        parts.append(Optional(tuple(_plain(body))))
        position = end + 2
    return Template(tuple(parts))


def _end_of_optional(text: str, position: int) -> int:
    """Where the `]]` of the section is, skipping those inside expressions."""
    while position < len(text):
        if text.startswith("${{", position):
            close = text.find("}}", position)
            if close < 0:
                break
            position = close + 2
        elif text.startswith("]]", position):
            return position
        else:
            position += 1
    raise BindingError("an optional section `$[[` is not closed by `]]`")


def _plain(text: str) -> Iterator[Literal | Reference]:
    position = 0
    while position < len(text):
        start = text.find("${{", position)
        if start < 0:
            yield Literal(text[position:])
            return
        end = text.find("}}", start)
        if end < 0:
            raise BindingError("an expression `${{` is not closed by `}}`")
        if start > position:
            yield Literal(text[position:start])
        yield _reference(text[start : end + 2])
        position = end + 2


def _reference(text: str) -> Reference:
    words = text[3:-2].strip().split(".")
    if words[-1] == "path" and len(words) > 2 and words[-2] not in ("inputs", "outputs"):
        words.pop()  # an older spelling of the same
    if all(NAME.match(word) for word in words):
        match words:
            case ["inputs" | "outputs" as scope, name]:
                return Reference(Scope(scope), name, text)
            case ["parent", "inputs" | "outputs" as scope, name]:
                return Reference(Scope(f"parent.{scope}"), name, text)
            case ["parent", "jobs", step, "outputs", name]:
                return Reference(Scope.STEP_OUTPUT, name, text, step)
            case ["parent", "name"]:
                return Reference(Scope.RUN_NAME, "name", text)
            case _:
                pass
    raise BindingError(
        f"the expression {text!r} is not known",
        "known are inputs.NAME, outputs.NAME, parent.inputs.NAME, parent.outputs.NAME, parent.jobs.STEP.outputs.NAME "
        "and parent.name",
    )
