"""Tables as pandas frames, typed by the profile, so that training and scoring see the same types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from opsml_cli.domain.data import ColumnType, DataProfile
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.tables.convert import converted, kind_of, plain
from opsml_cli.tables.delimited import NotUtf8Error
from opsml_cli.tables.profile import profile_table
from opsml_cli.tables.sampling import sampled
from opsml_cli.tables.table import Table, open_table

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

FRACTION = "sampled_fraction"  # frame.attrs: the share of the table's rows that is in the frame


class MisfitError(InvalidInputError):
    """A value of `column` that is not of the column's type."""

    def __init__(self, name: str, column: str, value: str, kind: ColumnType) -> None:
        super().__init__(
            f"{name}: the column {column!r} holds {value!r}, which is no {kind.value}",
            cause=f"the column's type is {kind.value}",
            fix="correct the value, or register the data anew so that its profile knows it",
        )
        self.column = column


def read_frame(
    location: Path,
    profile: DataProfile | None,
    *,
    columns: Sequence[str] | None = None,
    max_rows: int | None = None,
    seed: int = 0,
    name: str | None = None,
    types: Mapping[str, ColumnType] | None = None,
) -> pd.DataFrame:
    """The table at `location` (a file, or a folder with MLTable) as a frame.

    Types are those of `profile` (None: profiled first): integers int64 (float64 when the profile knows missing ones),
    numbers float64, booleans bool (object with None when some are missing), dates datetime64, everything else text with
    NaN for missing. With more than `max_rows` rows, a uniform sample of that many, the same for the same `seed`;
    `frame.attrs["sampled_fraction"]` is the share taken. Errors as `profile_table`.

    `types` are those of whoever reads the rows, a trained model or a table before: they count, not what the file looks
    like. A column that holds other values is read as text, so that the reader names the row."""
    if profile is None:
        profile = profile_table(location, name=name)
    arrow, fraction = read_typed(location, profile, columns=columns, max_rows=max_rows, seed=seed, name=name, types=types or {})
    frame = arrow.to_pandas()
    missing = {column.name: column.missing for column in profile.columns}
    for field in arrow.schema:
        if types and field.name in types:
            continue
        # By the profile, not by this part of the rows: a sample without gaps has the types of the whole.
        if kind_of(field.type) is ColumnType.INTEGER and missing.get(field.name):
            frame[field.name] = frame[field.name].astype("float64")
        elif kind_of(field.type) is ColumnType.BOOLEAN and missing.get(field.name):
            frame[field.name] = frame[field.name].astype("object")
    frame.attrs[FRACTION] = fraction
    return frame


def read_typed(
    location: Path,
    profile: DataProfile,
    *,
    columns: Sequence[str] | None = None,
    max_rows: int | None = None,
    seed: int = 0,
    name: str | None = None,
    types: Mapping[str, ColumnType] = MappingProxyType({}),
) -> tuple[pa.Table, float]:
    """As `read_frame`, as an Arrow table with nulls, and the share of the rows taken."""
    import pyarrow as pa

    table = open_table(location, profile, name)
    wanted = tuple(columns) if columns is not None else table.columns
    for column in wanted:
        table.check_column(column)
    kinds = {column.name: column.type for column in profile.columns} | dict(types)
    sample = (profile.rows, max_rows, seed) if max_rows is not None and max_rows < profile.rows else None
    while True:
        try:
            found = list(_typed(table, wanted, kinds, sample))
            break
        except NotUtf8Error as other:
            table = table.reencoded(other.path, other.encoding)
        except MisfitError as misfit:
            if misfit.column not in types:
                raise
            kinds[misfit.column] = ColumnType.STRING
    schema = pa.schema([(column, arrow_type(kinds.get(column, ColumnType.STRING))) for column in wanted])
    arrow = pa.Table.from_batches(found, schema) if found else schema.empty_table()
    return arrow, (arrow.num_rows / profile.rows if sample and profile.rows else 1.0)


def _typed(
    table: Table, columns: tuple[str, ...], kinds: dict[str, ColumnType], sample: tuple[int, int, int] | None
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    batches = table.batches(columns)
    if sample is not None:
        batches = sampled(batches, *sample)
    for batch in batches:
        arrays = [
            as_kind(array, kinds.get(column, ColumnType.STRING), column, table.name)
            for column, array in zip(columns, batch.columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def arrow_type(kind: ColumnType) -> pa.DataType:
    """The Arrow type that a column of `kind` is read as."""
    import pyarrow as pa

    return {
        ColumnType.INTEGER: pa.int64(),
        ColumnType.NUMBER: pa.float64(),
        ColumnType.BOOLEAN: pa.bool_(),
        ColumnType.DATETIME: pa.timestamp("us"),
        ColumnType.STRING: pa.string(),
        ColumnType.EMPTY: pa.float64(),
    }[kind]


def as_kind(array: pa.Array, kind: ColumnType, column: str, name: str) -> pa.Array:
    """A column's part, text or typed, as `kind`. InvalidInputError names the column and a value that does not fit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from opsml_cli.tables.column import as_text

    wanted = arrow_type(kind)
    if array.null_count == len(array):
        return pa.nulls(len(array), wanted)
    if not pa.types.is_string(array.type):
        array = plain(array)
        if array.type == wanted:
            return array
        if kind is ColumnType.NUMBER and pa.types.is_integer(array.type):
            return pc.cast(array, wanted, safe=False)
        array = _day_text(array) if pa.types.is_timestamp(array.type) else as_text(array)
    found = converted(array, ColumnType.NUMBER if kind is ColumnType.EMPTY else kind)
    if found is None:
        raise MisfitError(name, column, _misfit(array, kind), kind)
    return pc.if_else(pc.is_nan(found), pa.scalar(None, wanted), found) if pa.types.is_float64(found.type) else found


def _day_text(array: pa.Array) -> pa.Array:
    """Moments as the text of a category: a day without a time is written as a day."""
    import pyarrow as pa

    texts = [None if value is None else value.isoformat().removesuffix("T00:00:00") for value in array.to_pylist()]
    return pa.array(texts, pa.string())


def _misfit(array: pa.Array, kind: ColumnType) -> str:
    for value in array.drop_null().unique():
        import pyarrow as pa

        if converted(pa.array([value.as_py()], pa.string()), kind) is None:
            return str(value.as_py())
    return "?"
