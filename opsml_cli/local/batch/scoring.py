"""What the one step of a model deployment's run does: every row of its input, scored by a registered model.

`python -m opsml_cli.local.batch.scoring --root R --model NAME:VERSION --input PATH --output FOLDER`, with the deployment's
settings as JSON in the environment variable BATCH_SCORING. The output has one line a row: number of the row in its file,
prediction, file."""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.contract import BadRequest
from opsml_cli.domain.errors import InvalidInputError, OpsmlError
from opsml_cli.domain.names import parse_ref

if TYPE_CHECKING:
    from opsml_cli.local.serving.scorers import Scorer

SETTINGS = "BATCH_SCORING"
_ROWS = 10_000  # scored at once


@dataclass(frozen=True, slots=True)
class Settings:
    """`error_threshold`: how many files may fail (-1: any number); `append`: predictions are written, not only counted."""

    file_name: str = "predictions.csv"
    error_threshold: int = -1
    append: bool = True
    label: str | None = None

    @classmethod
    def read(cls, text: str) -> Settings:
        return cls(**json.loads(text or "{}"))


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
    scorer = _scorer(root, model)
    output.mkdir(parents=True, exist_ok=True)
    scored = failed = 0
    with (output / settings.file_name).open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target, lineterminator="\n")
        for path, label in _files(source, settings.label):
            try:
                for number, prediction in enumerate(_predictions(scorer, path)):
                    scored += 1
                    if settings.append:
                        writer.writerow([number, prediction, label])
            except OpsmlError as error:
                failed += 1
                say(f"{label}: {error.message}")
                if 0 <= settings.error_threshold < failed:
                    raise InvalidInputError(f"more than {settings.error_threshold} files failed") from error
            else:
                say(f"{label}: scored")
    if not settings.append:
        (output / settings.file_name).unlink()
    say(f"{scored} rows scored by model {model}, {failed} files failed")
    if failed and not scored:
        raise InvalidInputError("no file could be scored")


def _scorer(root: Path, model: str) -> Scorer:
    """The model, its files proven, and trusted: NotAllowedError otherwise."""
    from opsml_cli.local.layout import Layout
    from opsml_cli.local.models import LocalModels, quiet_mlflow
    from opsml_cli.local.serving import scorers
    from opsml_cli.local.store import Store

    store = Store(root)
    try:
        found = LocalModels(Layout(root), store).verified(parse_ref(model))
    finally:
        store.close()
    quiet_mlflow()
    return scorers.load(Path(found.path), own=found.own)


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


def _predictions(scorer: Scorer, path: Path) -> Iterator[Any]:
    from opsml_cli.tables import read_rows

    rows = read_rows(path)
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        try:
            scorer.schema.check(part)
            yield from scorer.score(part, False)
        except BadRequest as error:
            place = "" if error.row is None else f" in row {start + error.row}"
            raise InvalidInputError(f"{error.message}{place}") from error


def say(text: str) -> None:
    """A line of the step's log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
