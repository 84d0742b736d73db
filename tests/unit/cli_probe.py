"""`opsml` with a few commands more, which do what the kernel's tests need: fail in every way, stream, ask, wait."""

from __future__ import annotations

import errno
import sys
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from opsml_cli.__main__ import main
from opsml_cli.cli import options, table
from opsml_cli.cli.render import registry
from opsml_cli.cli.render.base import Rendering
from opsml_cli.cli.result import Planned, Verdict
from opsml_cli.cli.session import Session
from opsml_cli.domain import errors
from opsml_cli.domain.job import AutoMLOutcome, Job, JobKind, JobState, Trial

HOSTILE = "a\x1b[31mred\x07\tb\nc\r\x9b2J\u202e::set-output name=x::y ##vso[task.x]z ##[error]w"


@dataclass(frozen=True)
class Figures:
    name: str
    auc: float
    nested: dict[str, int]
    secret: str = "shown-on-purpose-1"


def fail(kind: str, text: str = "bank is missing") -> None:
    """Raise the error with this code.

    Example: opsml probe fail not_found
    """
    for error in _errors(errors.OpsmlError):
        if error.code == kind:
            raise error(text, cause="nobody made it", fix="opsml data list")


def _errors(kind: type[errors.OpsmlError]) -> Iterator[type[errors.OpsmlError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _errors(below)


def crash(kind: str, text: str = "boom") -> None:
    """Raise what no command should."""
    if kind == "ENOSPC":
        raise OSError(errno.ENOSPC, "No space left on device", "file.bin")
    if kind == "EACCES":
        raise PermissionError(errno.EACCES, "Permission denied", "file.bin")
    if kind == "recursion":

        def deeper() -> None:
            deeper()

        deeper()
    raise {"memory": MemoryError, "interrupt": KeyboardInterrupt, "value": ValueError}[kind](text)


def echo(
    session: Session,
    words: Annotated[list[str] | None, typer.Argument()] = None,
    tag: options.Tags = None,
    since: options.Since = None,
    number: Annotated[int, typer.Option()] = 1,
) -> dict[str, object]:
    """What was understood."""
    given = session.options
    return {
        "words": words,
        "tag": tag,
        "since": since,
        "number": number,
        "globals": {"workspace": given.workspace, "output": given.output, "query": given.query, "no_input": given.no_input},
    }


def value(kind: str) -> object:
    """A value of each kind."""
    values: dict[str, object] = {
        "none": None,
        "text": "plain text",
        "hostile": {"text": HOSTILE, HOSTILE: [HOSTILE]},
        "hostile-text": HOSTILE,
        "hostile-rows": [Figures(HOSTILE, 0.5, {HOSTILE: 1})],
        "numbers": {"nan": float("nan"), "inf": float("inf"), "third": 1 / 3, "big": 2**70},
        "unicode": {"text": "Grüße, 世界 🙂", "lone": "\udc80"},
        "figures": Figures("bank", 0.95, {"a": 1}),
        "rows": [Figures("bank", 0.95, {"a": 1}), Figures("wine", 0.5, {})],
        "empty": [],
        "wide": [Figures("x" * 500, 0.5, {})],
        "plan": Planned("register", "bank", {"rows": 3}),
        "verdict": Verdict({"ok": False}, errors.ContractError("a reply broke the contract")),
        "rich": RichView(),
    }
    return values[kind]


class RichView:
    pass


def stream(count: int, then: str = "") -> Iterator[object]:
    """`count` values, one by one."""
    for index in range(count):
        yield Figures(f"n{index}", index / 10, {})
    if then:
        raise errors.WorkFailedError("it failed")


def change(session: Session, dry_run: options.DryRun = False) -> dict[str, object]:
    """Change something."""
    return {"workspace": session.workspace.name, "dry_run": dry_run}


def remove(session: Session, yes: options.Yes = False) -> dict[str, object]:
    """Remove something."""
    session.confirm("Remove it?", yes=yes)
    return {"removed": True}


def need(session: Session, name: Annotated[str | None, typer.Option("--name")] = None) -> dict[str, object]:
    """Need a name."""
    return {"name": session.require(name, "--name", "OPSML_NAME")}


def wait(session: Session) -> None:
    """Wait for a signal."""
    session.progress.phase("ready")
    while True:
        time.sleep(0.01)


def progress(session: Session) -> dict[str, object]:
    """Tell a lot."""
    trials: tuple[Trial, ...] = ()
    for index in range(200):
        trials = (*trials, Trial(f"t{index}", "LightGBM", JobState.COMPLETED, {"AUC_weighted": 0.9}, 0.1))
        outcome = AutoMLOutcome(metric="AUC_weighted", leaderboard=trials)
        state = JobState.COMPLETED if index == 199 else JobState.RUNNING
        session.progress.job(Job("job1", JobKind.AUTOML, state, "Default", "local", "2026-01-01T00:00:00.000Z", automl=outcome))
        session.progress.amount(index, 200, "rows")
    session.progress.note("a note")
    session.progress.warn("a warning")
    return {"done": True}


def leak(session: Session, text: str) -> None:
    """Say a secret in every way."""
    session.progress.note(f"note {text}")
    session.progress.warn(f"warn {text}")
    import logging

    logging.getLogger("library").warning("token is %s", text)
    raise ValueError(f"bad token {text}")


def _summary(figures: Figures) -> str:
    return f"| name | auc |\n|---|---|\n| {figures.name} | {figures.auc} |"


def _rich(_value: RichView, _width: int) -> object:
    from rich.table import Table

    found = Table(title="[bold]title[/bold]")
    found.add_column("name", style="red")
    found.add_row("x" * 300)
    return found


RENDERINGS = {
    Figures: Rendering(
        document=lambda figures: {"name": figures.name, "auc": figures.auc, "nested": figures.nested, "more": True},
        columns=("name", "auc", "nested"),
        outputs=lambda figures: {"name": figures.name, "auc": str(figures.auc)},
        summary=_summary,
        secrets=lambda figures: [figures.secret],
    ),
    RichView: Rendering(document=lambda _: {"rich": True}, view=_rich),
}


def install() -> None:
    module = types.ModuleType("probe")
    module.__dict__.update(globals())
    sys.modules["opsml_cli.cli.commands.probe"] = module
    sys.modules["opsml_cli.cli.render.probe"] = module
    registry.MODULES.update(dict.fromkeys(("Figures", "RichView"), "probe"))
    table.GROUPS["probe"] = "Probes"
    waiting = {"wait"}
    added = tuple(
        table.Command(
            f"probe {name}", f"probe:{name}", name, name == "change", name == "remove", name in waiting, name == "change"
        )
        for name in ("fail", "crash", "echo", "value", "stream", "change", "remove", "need", "wait", "progress", "leak")
    )
    table.COMMANDS += added
    table.BY_PATH.update({command.path: command for command in added})


if __name__ == "__main__":
    install()
    main()
