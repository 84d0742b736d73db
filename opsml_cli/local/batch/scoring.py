"""What the one step of a model deployment's run does: every row of its input, scored by a registered model.

`python -m opsml_cli.local.batch.scoring --root R --model NAME:VERSION --input PATH --output FOLDER`, with the deployment's
settings as JSON in the environment variable BATCH_SCORING."""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.contract import BadRequest
from opsml_cli.domain.errors import InvalidInputError, OpsmlError
from opsml_cli.domain.names import parse_ref

if TYPE_CHECKING:
    from opsml_cli.domain.model import Model

SETTINGS = "BATCH_SCORING"
_ROWS = 10_000  # scored at once


@dataclass(frozen=True, slots=True)
class Settings:
    """`error_threshold`: how many files may fail (-1: any number); `append`: predictions are written, not only counted;
    `label`: how the one file of an input is told of. `script`, a path in the working folder, scores `batch` files at a time in
    place of the model, which it finds as `mount`."""

    file_name: str = "predictions.csv"
    error_threshold: int = -1
    append: bool = True
    label: str | None = None
    script: str | None = None
    batch: int = 10
    mount: str = "model"

    @classmethod
    def read(cls, text: str) -> Settings:
        return cls(**json.loads(text or "{}"))


# From files with their names to lines of the output.
Work = Callable[[Sequence[tuple[Path, str]]], Iterator[str]]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scoring")
    for name in ("--root", "--model", "--input", "--output"):
        parser.add_argument(name, required=True)
    given = parser.parse_args(arguments)
    try:
        run(Path(given.root), given.model, Path(given.input), Path(given.output), Settings.read(os.environ.get(SETTINGS, "")))
    except OpsmlError as error:
        say(f"error: {error.message}" + (f": {error.cause}" if error.cause else ""))
        return 1
    return 0


def run(root: Path, model: str, source: Path, output: Path, settings: Settings) -> None:
    """Score `source`, a file or a folder of files, into `output`/<file name>. InvalidInputError when too many files fail."""
    output.mkdir(parents=True, exist_ok=True)
    with ExitStack() as until_the_end:
        work = _scripted(root, model, output, settings) if settings.script else _by_model(root, model, until_the_end)
        _score(work, model, source, output, settings)


def _score(work: Work, model: str, source: Path, output: Path, settings: Settings) -> None:
    files = list(_files(source, settings.label))
    size = settings.batch if settings.script else 1
    scored = failed = 0
    with (output / settings.file_name).open("w", encoding="utf-8", newline="") as target:
        for start in range(0, len(files), size):
            batch = files[start : start + size]
            told = ", ".join(label for _, label in batch)
            try:
                for line in work(batch):
                    scored += 1
                    if settings.append:
                        target.write(f"{line}\n")
            except Exception as error:  # a script may raise anything
                failed += len(batch)
                say(f"{told}: {error.message if isinstance(error, OpsmlError) else f'{type(error).__name__}: {error}'}")
                if 0 <= settings.error_threshold < failed:
                    raise InvalidInputError(f"more than {settings.error_threshold} files failed") from error
            else:
                say(f"{told}: scored")
    if not settings.append:
        (output / settings.file_name).unlink()
    say(f"{scored} results of {settings.script or f'model {model}'}, {failed} files failed")
    if failed and not scored:
        raise InvalidInputError("no file could be scored")


def _by_model(root: Path, model: str, until_the_end: ExitStack) -> Work:
    """A line a row: its number in the file, the prediction, the file."""
    from opsml_cli.local.serving import scorers
    from opsml_cli.local.serving.hosting import copies, rows
    from opsml_cli.local.serving.hosting.process import HostFailedError
    from opsml_cli.local.serving.hosting.session import open_host

    found = _verified(root, model)
    if found.own:
        scorer = scorers.load(Path(found.path))

        def score(part: list[dict[str, Any]]) -> list[Any]:
            scorer.schema.check(part)
            return scorer.score(part, False)
    else:
        host = open_host(root, copies.source_of(found), lambda level, text: say(f"{level}: {text}"))
        try:
            session = until_the_end.enter_context(host)
        except HostFailedError as error:
            raise InvalidInputError(str(error)) from error

        def score(part: list[dict[str, Any]]) -> list[Any]:
            return rows.score(session, part)

    def work(batch: Sequence[tuple[Path, str]]) -> Iterator[str]:
        for path, label in batch:
            for number, prediction in enumerate(_predictions(score, path)):
                yield _csv_line((number, prediction, label))

    return work


def _scripted(root: Path, model: str, output: Path, settings: Settings) -> Work:
    from opsml_cli.local.batch.scripted import BatchScript

    assert settings.script is not None
    found = Path(_verified(root, model).path) if model else None
    try:
        script = BatchScript(Path.cwd() / settings.script, found, settings.mount, output)
    except Exception as error:
        raise InvalidInputError(f"the scoring script does not start: {type(error).__name__}: {error}") from error
    return lambda batch: script.lines([path for path, _ in batch])


def _csv_line(values: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(values)
    return text.getvalue()


def _verified(root: Path, model: str) -> Model:
    """The model, its files proven, and trusted: NotAllowedError otherwise."""
    from opsml_cli.local.layout import Layout
    from opsml_cli.local.models import LocalModels
    from opsml_cli.local.store import Store

    store = Store(root)
    try:
        return LocalModels(Layout(root), store).verified(parse_ref(model))
    finally:
        store.close()


def _files(source: Path, label: str | None) -> Iterator[tuple[Path, str]]:
    """Each table of the input with the name that it is told by. A folder with an MLTable is one table."""
    if source.is_file() or (source / "MLTable").is_file():
        yield source, label or source.name
        return
    found = False
    for path in sorted(source.rglob("*")):
        if path.is_file() and not path.name.startswith((".", "_")):
            found = True
            yield path, path.relative_to(source).as_posix()
    if not found:
        raise InvalidInputError("the input holds no files")


def _predictions(score: Callable[[list[dict[str, Any]]], list[Any]], path: Path) -> Iterator[Any]:
    from opsml_cli.tables import read_rows

    rows = read_rows(path)
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        try:
            yield from score(part)
        except BadRequest as error:
            place = "" if error.row is None else f" in row {start + error.row}"
            raise InvalidInputError(f"{error.message}{place}") from error


def say(text: str) -> None:
    """A line of the step's log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written. Arrow's threads may still be about, and where they are the interpreter's own end aborts (signal 6).
    os._exit(code)
