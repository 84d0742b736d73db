"""`opsml demo`"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned
from opsml_cli.cli.session import Session
from opsml_cli.domain.clock import SystemClock
from opsml_cli.domain.errors import NotFoundError, UnsupportedError
from opsml_cli.services.demo import Command, DemoPlan, DemoResult, commands, run_demo

if TYPE_CHECKING:
    from collections.abc import Callable

_TWIN = "bank-marketing-twin.csv"
_SETTINGS = '# The demo\'s own workspace, beside this file.\nworkspace = "local"\n\n[local]\npath = ".opsml"\n'


def demo(
    session: Session,
    data: Annotated[str | None, typer.Option("--data", metavar="FILE|URL", help="Other data with the same columns.")] = None,
    folder: Annotated[str, typer.Option("--dir", metavar="FOLDER", help="Where the demo's workspace lies.")] = "opsml-demo",
    timeout: Annotated[str, typer.Option("--timeout", metavar="DURATION", help="The training budget.")] = "60s",
    cleanup: Annotated[bool, typer.Option("--cleanup", help="Stop everything at the end.")] = False,
    dry_run: options.DryRun = False,
) -> DemoResult | Planned:
    """The whole flow on bank-marketing data, each step as the command you would type: register, train, deploy, watch,
    document, score, retrain.

    It works in a folder of its own. The data is downloaded; when its public address does not answer within 5 seconds, a
    synthetic twin with the same columns takes its place.

    Example: opsml demo --cleanup
    """
    chosen = session.options.workspace or session.environment.get("OPSML_WORKSPACE")
    if chosen not in (None, "", "local"):
        raise UnsupportedError(
            f"the demo runs in a local workspace, not in {chosen!r}", fix="run it without -w and OPSML_WORKSPACE"
        )
    place = Path(folder).absolute()
    options.seconds(timeout)
    source, told = _source(data, place, write=not dry_run)
    plan = DemoPlan("local", str(place), source, told, timeout, "pipeline/pipeline.yml", cleanup)
    if dry_run:
        return Planned("run", "the demo", {"folder": str(place), "data_source": told, "commands": commands(plan)})
    _furnish(place)
    note = session.output.note
    note(f"data: {told}")
    note(f"$ cd {folder}")

    def tell(title: str, command: str) -> None:
        note("")
        note(f"── {title}")
        note(f"$ {command}")

    with contextlib.chdir(place):
        return run_demo(plan, _performer(session), tell, SystemClock())


def _source(data: str | None, place: Path, *, write: bool) -> tuple[str, str]:
    """What `data register` is to read from within `place`, and the words for it."""
    from opsml_cli.bank_marketing import source, twin

    if data is not None:
        if data.startswith(("http://", "https://")):
            return data, data
        path = Path(data).absolute()
        if not path.exists():
            raise NotFoundError(f"no file {data}", fix="give --data an existing file or a URL, or leave it out")
        return str(path), str(path)
    if source.answers(source.ADDRESS):
        return source.ADDRESS, source.ADDRESS
    if write:
        place.mkdir(parents=True, exist_ok=True)
        twin.write_twin(place / _TWIN)
    return _TWIN, f"synthetic twin ({source.ADDRESS} did not answer within 5 seconds)"


def _furnish(place: Path) -> None:
    """The folder with the demo's settings and pipeline. Settings that are there stay."""
    from opsml_cli.bank_marketing.source import write_pipeline

    write_pipeline(place / "pipeline")
    settings = place / "opsml.toml"
    if not settings.exists():
        settings.write_text(_SETTINGS, encoding="utf-8")


def _performer(session: Session) -> Callable[[Command], object]:
    """Runs a command line as the shell does. What it shows belongs to the demo's story, so it goes to stderr."""
    from opsml_cli.cli.app import carry_out, parse
    from opsml_cli.cli.output import Output

    def perform(command: Command) -> object:
        invocation = parse(list(command))
        assert invocation is not None
        invocation.options.no_color = session.options.no_color
        if session.options.quiet:
            invocation.options.quiet, invocation.options.output = True, "none"
        output = Output(invocation.options, session.environment, sys.stderr, sys.stderr)
        result, error = carry_out(invocation, output, session.environment)
        if error is not None:
            raise error
        return result

    return perform
