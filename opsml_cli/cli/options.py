"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from opsml_cli.domain.durations import parse_duration
from opsml_cli.domain.errors import UsageError


def seconds(text: str) -> float:
    """The parser of options that take a duration."""
    return text if isinstance(text, float) else parse_duration(text)


def pairs(values: Sequence[str] | None, flag: str) -> dict[str, str]:
    """`key=value` texts as a mapping; UsageError naming `flag` for one without `=`, or a key that comes twice."""
    found: dict[str, str] = {}
    for text in values or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise UsageError(f"{flag} {text!r} is not of the form key=value")
        if key in found:
            raise UsageError(f"{flag} {key!r} is given twice")
        found[key] = value
    return found


DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, write nothing, and say what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Start the work, print its id, and return.")]
WaitTimeout = Annotated[
    float | None,
    typer.Option(
        "--wait-timeout",
        parser=seconds,
        metavar="DURATION",
        help="Stop waiting after this long (30m, 90s) with exit code 8; the work continues.",
    ),
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="A tag; may be repeated.")]
Description = Annotated[str | None, typer.Option("--description", help="A line about it.")]
Since = Annotated[
    float | None, typer.Option("--since", parser=seconds, metavar="DURATION", help="How far to look back (10m, 2h).")
]
Deployment = Annotated[str | None, typer.Option("--deployment", metavar="NAME", help="One deployment of the endpoint.")]
EndpointName = Annotated[str, typer.Argument(metavar="ENDPOINT", help="The endpoint's name.")]
JobName = Annotated[str, typer.Argument(metavar="JOB", help="The job's name.")]
