"""The rows of an INPUT file for a model or an endpoint, as what its columns take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsml_cli.cli.session import Session
    from opsml_cli.domain.endpoint import Row
    from opsml_cli.services.score import Target

_BATCH_ROWS = 1000


def input_rows(session: Session, source: str, target: Target) -> list[Row]:
    """All rows of a CSV, JSON, JSON lines or Parquet file, or of standard input (`-`). Text is read as the types that the
    target says it takes, whatever the file looks like. NotFoundError; InvalidInputError for what is no table."""
    from opsml_cli.domain.scoring import ScorePlan
    from opsml_cli.services import score as scoring
    from opsml_cli.tables.row_batches import open_rows

    with scoring.opened(session.workspace, target, ScorePlan(target.deployment)) as scorer:
        types = scorer.types
    with open_rows(source, types) as table:
        return [dict(row) for batch in table.batches(_BATCH_ROWS, ()) for row in batch.rows]
