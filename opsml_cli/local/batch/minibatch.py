"""Mini-batches: the parts in which an input is scored, counted, tried again and kept.

For a model they are blocks of a file's rows, for a scoring script `mini_batch_size` files, as on Azure. The same input gives
the same mini-batches in the same order, so a run that was killed goes on behind the last one that it kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.errors import InvalidInputError

if TYPE_CHECKING:
    from opsml_cli.tables.blocks import Block

BLOCK_ROWS = 10_000


class MiniBatchError(Exception):
    """A mini-batch that cannot be scored; the text says why. `final`: trying again would change nothing."""

    def __init__(self, message: str, *, final: bool = True) -> None:
        super().__init__(message)
        self.final = final


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file of the input, and how it is called in messages and predictions."""

    path: Path
    label: str


@dataclass(frozen=True, slots=True)
class MiniBatch:
    """Mini-batch `number` (counted from 0 in the whole input): `files`, or of one file (the `index`-th) the rows of `block`.
    `broken`: why the rest of the file cannot be read."""

    number: int
    index: int
    files: tuple[InputFile, ...]
    block: Block | None = None
    broken: str | None = None

    @property
    def place(self) -> str:
        """How a message calls it."""
        names = ", ".join(each.label for each in self.files[:3]) + (", …" if len(self.files) > 3 else "")
        if self.block is None:
            return names
        return f"{names}, rows {self.block.first:,} to {self.block.first + self.block.rows - 1:,}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the work stands: the next mini-batch's number, its first file, and in that file its first row."""

    number: int = 0
    index: int = 0
    row: int = 0


def input_files(source: Path, label: str | None) -> list[InputFile]:
    """Each file of the input, by name. A folder with an MLTable is one table. InvalidInputError when there is none."""
    if source.is_file() or (source / "MLTable").is_file():
        return [InputFile(source, label or source.name)]
    found = [
        InputFile(path, path.relative_to(source).as_posix())
        for path in sorted(source.rglob("*"))
        if path.is_file() and not path.name.startswith((".", "_"))
    ]
    if not found:
        raise InvalidInputError("the input holds no files", fix="register a folder with files, or one file")
    return found


def of_files(files: Sequence[InputFile], size: int, place: Place) -> Iterator[MiniBatch]:
    """What a scoring script is handed."""
    number = place.number
    for start in range(place.index, len(files), size):
        yield MiniBatch(number, start, tuple(files[start : start + size]))
        number += 1


class RowBatches:
    """What a model is handed. `types`: of the columns that it reads (None: all of the file's)."""

    def __init__(self, files: Sequence[InputFile], types: Mapping[str, str] | None, place: Place) -> None:
        self._files, self._types, self._place = files, types, place
        self._skipped: set[int] = set()

    def skip(self, index: int) -> None:
        """Read no more of this file."""
        self._skipped.add(index)

    def __iter__(self) -> Iterator[MiniBatch]:
        from opsml_cli.domain.errors import OpsmlError
        from opsml_cli.tables.blocks import BlockReader

        number = self._place.number
        for index in range(self._place.index, len(self._files)):
            file = self._files[index]
            start = self._place.row if index == self._place.index else 0
            rows = start
            try:
                reader = BlockReader(file.path, file.label, self._types)
                columns = None if self._types is None else tuple(self._types)
                for block in reader.blocks(columns, BLOCK_ROWS, start):
                    if index in self._skipped:
                        break
                    rows += block.rows
                    yield MiniBatch(number, index, (file,), block)
                    number += 1
                if rows == 0:
                    yield MiniBatch(number, index, (file,), broken=f"{file.label} has no rows")
                    number += 1
            except OpsmlError as error:
                reason = error.message + (f": {error.cause}" if error.cause else "")
                yield MiniBatch(number, index, (file,), broken=reason)
                number += 1
