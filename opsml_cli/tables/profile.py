"""A table's profile, made in one pass and bounded memory."""

from __future__ import annotations

from pathlib import Path

from opsml_cli.domain.data import ColumnProfile, ColumnType, DataProfile, TargetProfile
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.domain.progress import Progress, Silent
from opsml_cli.tables.column import EXACT_VALUES, EXACT_VALUES_OF_TABLE, ColumnAccumulator, most_frequent
from opsml_cli.tables.delimited import NotUtf8Error
from opsml_cli.tables.formats import GUESSED
from opsml_cli.tables.table import Table, open_table

MAX_CLASSES = 100  # a target of more distinct values is listed by its most frequent ones
_FEW = 20  # whole numbers of at most so many distinct values are classes


def profile_table(
    location: Path, *, target_column: str | None = None, name: str | None = None, progress: Progress | None = None
) -> DataProfile:
    """Profile the file or MLTable folder at `location`, which errors call `name`.

    InvalidInputError for an empty or unsound table or an absent target column; NotFoundError when nothing is there."""
    table = open_table(location, name=name)
    if target_column is not None:
        table.check_column(target_column)
    progress = progress or Silent()
    for part in table.parts:
        if part.form.encoding in GUESSED:
            progress.note(_guess(part.name, part.form.encoding))
    while True:
        try:
            return _profiled(table, target_column, progress)
        except NotUtf8Error as other:
            progress.note(_guess(other.name, other.encoding))
            table = table.reencoded(other.path, other.encoding)


def _guess(name: str, encoding: str) -> str:
    return f"{name} is no UTF-8 text; it was read as {encoding}"


def target_of(location: Path, profile: DataProfile, target_column: str, name: str) -> TargetProfile:
    """The class balance of another target than the profile was made with; reads only that column."""
    table = open_table(location, profile, name)
    table.check_column(target_column)
    while True:
        try:
            return _target(_accumulated(table, (target_column,), Silent())[1][0])
        except NotUtf8Error as other:
            table = table.reencoded(other.path, other.encoding)


def _profiled(table: Table, target_column: str | None, progress: Progress) -> DataProfile:
    rows, columns = _accumulated(table, table.columns, progress)
    if rows == 0:
        raise InvalidInputError(
            f"{table.name} has a header and no rows",
            cause="only the column names are there",
            fix="check how the file was written",
        )
    target = next((_target(column) for column in columns if column.name == target_column), None)
    first = table.parts[0].form
    text = first.kind == "csv"
    return DataProfile(
        rows=rows,
        size_bytes=table.size_bytes(),
        format=table.kind,
        columns=tuple(column.profile() for column in columns),
        target=target,
        delimiter=first.delimiter if text else None,
        encoding=first.encoding if text else None,
        compression=first.compression,
    )


def _accumulated(table: Table, names: tuple[str, ...], progress: Progress) -> tuple[int, list[ColumnAccumulator]]:
    exact = max(256, min(EXACT_VALUES, EXACT_VALUES_OF_TABLE // max(len(names), 1)))
    columns = [ColumnAccumulator(name, infer=not table.typed, exact_values=exact) for name in names]
    rows = 0
    for batch in table.batches(names):
        rows += batch.num_rows
        for accumulator, array in zip(columns, batch.columns, strict=True):
            accumulator.add(array)
        progress.amount(rows, None, "rows")
    return rows, columns


def column_types(table: Table, columns: tuple[str, ...]) -> dict[str, ColumnType]:
    """The type of each of these columns over the whole table, as its profile has it. NotUtf8Error as `Table.batches`."""
    return {each.name: each.type for each in _accumulated(table, columns, Silent())[1]}


def _target(column: ColumnAccumulator) -> TargetProfile:
    profile, counts = column.profile(), column.counted()
    task = "classification" if _is_classes(profile) else "regression"
    classes = most_frequent(counts, MAX_CLASSES) if counts is not None and task == "classification" else ()
    return TargetProfile(column.name, task, classes)


def _is_classes(profile: ColumnProfile) -> bool:
    """Words and yes/no are classes; so are whole numbers when they are few."""
    if profile.type is ColumnType.NUMBER:
        whole = all(float(value.value).is_integer() for value in profile.top) and bool(profile.top)
        return profile.unique <= 2 or (whole and profile.unique <= _FEW)
    if profile.type is ColumnType.INTEGER:
        return profile.unique <= _FEW
    return profile.type is not ColumnType.DATETIME
