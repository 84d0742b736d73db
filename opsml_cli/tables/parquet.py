"""Parquet files: the footer is checked and limited before it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.tables.convert import kind_of, plain
from opsml_cli.tables.delimited import check_names
from opsml_cli.tables.formats import PARQUET_MAGIC

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAX_FOOTER = 64 << 20
MAX_ROW_GROUPS = 100_000
MAX_GROUP_BYTES = 4 << 30
MAX_RATIO = 5_000
BATCH_ROWS = 50_000


def column_names(path: Path, name: str, *, nested: bool = False) -> tuple[str, ...]:
    with _opened(path, name, nested=nested) as file:
        return check_names([field.name for field in file.schema_arrow], name)


def batches(path: Path, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows in batches of plain types (`convert.plain`)."""
    import pyarrow as pa

    with _opened(path, name) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns) if columns is not None else None):
            arrays = {column: batch.column(column) for column in batch.schema.names}
            order = list(columns) if columns is not None else list(arrays)
            yield pa.RecordBatch.from_arrays([plain(arrays[column]) for column in order], names=order)


def row_count(path: Path, name: str) -> int:
    with _opened(path, name, nested=True) as file:
        return int(file.metadata.num_rows)


def native_batches(path: Path, name: str, size: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows in batches of at most `size`, in the file's own types; lists and structures too."""
    with _opened(path, name, nested=True) as file:
        for batch in file.iter_batches(batch_size=size, columns=list(columns)):
            yield batch.select(list(columns))


@contextmanager
def _opened(path: Path, name: str, *, nested: bool = False) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_footer(path, name)
    try:
        with pq.ParquetFile(
            path, thrift_string_size_limit=MAX_FOOTER, thrift_container_size_limit=1_000_000, pre_buffer=False
        ) as file:
            _check_sizes(file.metadata, path.stat().st_size, name)
            for field in file.schema_arrow:
                if kind_of(field.type) is None and not (nested and pa.types.is_nested(field.type)):
                    raise InvalidInputError(
                        f"{name}: the column {field.name!r} holds {field.type}, which is no plain value",
                        fix="write it as text or numbers, or drop the column",
                    )
            yield file
    except (pa.ArrowException, OSError, MemoryError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InvalidInputError(f"{name} is a damaged Parquet file", cause=" ".join(str(error).split())[:300]) from error


def _check_footer(path: Path, name: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size >= 12 and file.read(4) == PARQUET_MAGIC:
            file.seek(-8, 2)
            tail = file.read(8)
            footer = int.from_bytes(tail[:4], "little")
            if tail[4:] == PARQUET_MAGIC and 0 < footer <= min(size - 12, MAX_FOOTER):
                return
    raise InvalidInputError(
        f"{name} is a damaged Parquet file", cause="its footer is missing, too large or cut off", fix="write the file again"
    )


def _check_sizes(metadata: object, size: int, name: str) -> None:
    """Refuse what would expand beyond all measure. `metadata` is pyarrow's FileMetaData."""
    groups: int = metadata.num_row_groups  # type: ignore[attr-defined]
    sizes = [metadata.row_group(index).total_byte_size for index in range(min(groups, MAX_ROW_GROUPS + 1))]  # type: ignore[attr-defined]
    if groups > MAX_ROW_GROUPS or any(not 0 <= one <= MAX_GROUP_BYTES for one in sizes) or sum(sizes) > MAX_RATIO * size:
        raise InvalidInputError(
            f"{name} expands beyond the limit while it is read",
            cause=f"a row group beyond {MAX_GROUP_BYTES >> 30} GiB, or {MAX_RATIO:,} times its size: a decompression bomb?",
            fix="write it with smaller row groups",
        )
