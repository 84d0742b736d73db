"""A model that opsml trained, over blocks of rows: typed columns are scored at once, everything else row by row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.contract import BadRequest
from opsml_cli.local.batch.minibatch import MiniBatch, MiniBatchError

if TYPE_CHECKING:
    import pyarrow as pa

    from opsml_cli.tables.blocks import Block


class OwnModel:
    """Scores mini-batches in this process; no foreign code runs."""

    def __init__(self, folder: Path) -> None:
        from opsml_cli.local.serving import scorers

        self._scorer = scorers.OwnScorer(scorers.own_data(folder, scorers.read_description(folder)))
        self.columns: tuple[str, ...] = self._scorer.schema.names
        self.types: Mapping[str, str] = {column.name: column.type for column in self._scorer.schema.columns}
        self.target: str | None = self._scorer.model.target

    def results(self, batch: MiniBatch) -> list[Any]:
        """A label or number a row. MiniBatchError names the file, row and column of what does not fit."""
        block = batch.block
        assert block is not None
        label = batch.files[0].label
        if block.columns is not None:
            for name in self.columns:
                if name not in block.columns.schema.names:
                    raise MiniBatchError(f"{label} has no column {name!r}")
        try:
            if block.columns is not None and self._fits(block.columns):
                return self._at_once(block.columns)
            return self._row_by_row(block)
        except BadRequest as error:
            raise MiniBatchError(refusal(error, label, block)) from error

    def _row_by_row(self, block: Block) -> list[Any]:
        rows = block.to_rows()
        self._scorer.schema.check(rows)
        return self._scorer.score(rows, False)

    def _fits(self, columns: pa.RecordBatch) -> bool:
        """Whether the columns are of the very types that the model reads, so that no value of them needs a look."""
        import pyarrow as pa
        import pyarrow.compute as pc

        for column in self._scorer.schema.columns:
            array = columns.column(columns.schema.get_field_index(column.name))
            if array.null_count == len(array):
                continue
            if column.type == "number":
                fits = pa.types.is_integer(array.type) or (
                    pa.types.is_floating(array.type) and pc.all(pc.is_finite(array), min_count=0).as_py()
                )
            elif column.type == "integer":
                fits = pa.types.is_integer(array.type)
            elif column.type == "boolean":
                fits = pa.types.is_boolean(array.type) and array.null_count == 0
            elif column.type == "datetime":
                fits = pa.types.is_timestamp(array.type)
            else:
                fits = pa.types.is_string(array.type)
            if not fits:
                return False
        return True

    def _at_once(self, columns: pa.RecordBatch) -> list[Any]:
        import pyarrow as pa

        arrays = [columns.column(columns.schema.get_field_index(name)) for name in self.columns]
        # Each distinct text is coded once.
        arrays = [array.dictionary_encode() if pa.types.is_string(array.type) else array for array in arrays]
        return self._scorer.score_frame(pa.RecordBatch.from_arrays(arrays, names=list(self.columns)).to_pandas())


def refusal(error: BadRequest, label: str, block: Block) -> str:
    """The error with the row counted in the file."""
    if error.row is None:
        return f"{label}: {error.message}"
    row = block.first + error.row
    what = f"column {error.column!r}" if error.column else "the row"
    if error.value is None:
        return f"{label}, row {row} (counted from 0): {what} is missing"
    return f"{label}, row {row} (counted from 0): {what} is {error.value!r}" + (
        f", expected {error.expected}" if error.expected else ""
    )
