"""`opsml help …`: topics that are made from the code itself."""

from __future__ import annotations

from dataclasses import dataclass

from opsml_cli.domain import errors
from opsml_cli.settings import environment_variables


@dataclass(frozen=True, slots=True)
class ExitCode:
    exit_code: int
    codes: tuple[str, ...]  # as `error.code` in JSON has them
    meaning: str


@dataclass(frozen=True, slots=True)
class Variable:
    variable: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Format:
    format: str
    meaning: str


def exit_codes() -> list[ExitCode]:
    """What each exit code means.

    Example: opsml help exit-codes
    """
    by_code: dict[int, list[type[errors.OpsmlError]]] = {}
    for kind in _tree(errors.OpsmlError):
        by_code.setdefault(kind.exit_code, []).append(kind)
    rows = [ExitCode(0, (), "done")]
    for exit_code, kinds in sorted(by_code.items()):
        words = (
            (kinds[0].__doc__ or "").strip().splitlines()[0] if exit_code != 1 else "unexpected: a defect, told in a log file"
        )
        rows.append(ExitCode(exit_code, tuple(kind.code for kind in kinds), words[:1].lower() + words[1:].rstrip(".")))
    return rows


def _tree(kind: type[errors.OpsmlError]) -> list[type[errors.OpsmlError]]:
    found = [kind]
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            found += _tree(below)
    return found


def environment() -> list[Variable]:
    """Settings and their environment variables, and the other variables that matter.

    Precedence: flag > environment > .env > opsml.toml > user settings > default.

    Example: opsml help environment
    """
    settings = [Variable(*row) for row in environment_variables()]
    return settings + [Variable(name, "", meaning) for name, meaning in _OTHERS]


_OTHERS = (
    ("NO_COLOR", "no colours"),
    ("FORCE_COLOR", "colours, whatever the stream is"),
    ("TERM", "dumb: no colours, no live progress"),
    ("CI", "true: never ask"),
    ("GITHUB_ACTIONS", "true: errors become annotations, secrets are masked"),
    ("GITHUB_OUTPUT", "file for key results"),
    ("GITHUB_STEP_SUMMARY", "file for Markdown tables"),
    ("TF_BUILD", "true: the same for Azure Pipelines"),
)


def formats() -> list[Format]:
    """Output formats, and what goes to which stream.

    Example: opsml help formats
    """
    return [Format(*row) for row in _FORMATS]


_FORMATS = (
    ("table", "for people; the default everywhere"),
    ("json", "exactly one JSON document on stdout; errors as one line of JSON on stderr; streams: one object a line"),
    ("jsonl", "one JSON object a line"),
    ("tsv", "tab-separated, no header, stable columns; nested values are compact JSON"),
    ("yaml", "one YAML document; streams: one document an item"),
    ("none", "nothing on stdout"),
    ("--query", "a JMESPath expression that picks a part; with json, yaml and tsv"),
    ("streams", "data on stdout; progress, warnings, hints and errors on stderr"),
)
