"""Scoring a table: on an endpoint, or with a model in this process, batch by batch; and keeping what came out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from opsml_cli.domain import names
from opsml_cli.domain.endpoint import OnlineEndpoint, Row, ScoreResult
from opsml_cli.domain.errors import NotFoundError, UsageError
from opsml_cli.domain.model import Model
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Progress
from opsml_cli.domain.scoring import RowScorer, RowTable, ScoredFile, ScoredRows, ScorePlan, not_by_row
from opsml_cli.domain.workspace import Workspace
from opsml_cli.services.scored_columns import PredictionColumns

IN_MEMORY = 200_000  # predictions that a document on stdout may hold


@dataclass(frozen=True, slots=True)
class Target:
    """Where to score: an endpoint (and perhaps one of its deployments), or a model in this process."""

    endpoint: str | None = None
    deployment: str | None = None
    model: AssetRef | None = None


class RowsWriter(Protocol):
    """A file that takes rows piece by piece."""

    def write(self, records: Sequence[Mapping[str, object]], columns: Sequence[str]) -> None: ...


def opened(workspace: Workspace, target: Target, plan: ScorePlan) -> RowScorer:
    """What scores: to be used as a context manager."""
    if target.model is not None:
        return workspace.models.scorer(target.model, plan)
    assert target.endpoint is not None
    return workspace.online_endpoints.scorer(target.endpoint, plan)


class Scoring:
    """One run over a table. `keep` are the input's columns that go into the output beside the predictions."""

    def __init__(self, scorer: RowScorer, table: RowTable, plan: ScorePlan, keep: Sequence[str], progress: Progress) -> None:
        self._scorer, self._table, self._plan, self._keep, self._progress = scorer, table, plan, keep, progress
        self._kept: deque[Sequence[Row]] = deque()
        self._began: float | None = None
        self._ended = 0.0
        self.rows = 0
        self.whole = 0  # requests that were answered as a whole, not a row each

    def parts(self) -> Iterator[ScoredRows]:
        """What became of every batch, in the table's order, with the columns that are kept."""
        for part in self._scorer.score(self._batches()):
            self._ended = time.perf_counter()
            kept = self._kept.popleft()
            if self.rows:
                self._progress.amount(self.rows + part.count, self._table.rows, "rows")
            elif self._table.rows is None or self._table.rows > part.count:
                self._progress.phase("scoring")
            self.rows += part.count
            self.whole += len(part.predictions) if part.whole else 0
            yield replace(part, kept=kept)

    def _batches(self) -> Iterator[Sequence[Row]]:
        for batch in self._table.batches(self._plan.batch_rows, self._keep):
            self._kept.append(batch.kept)
            if self._began is None:
                self._began = time.perf_counter()
            yield batch.rows

    @property
    def latency_ms(self) -> float:
        return round((self._ended - self._began) * 1000, 3) if self._began is not None and self._ended else 0.0

    def result(self, limit: int = IN_MEMORY, *, shown: int | None = None, raw: bool = False) -> ScoreResult:
        """All predictions as one value; only the first `shown` of them where nobody sees more. UsageError for more than
        `limit` rows."""
        predictions: list[object] = []
        probabilities: list[Sequence[float]] = []
        replies: list[bytes] = []
        for part in self.parts():
            if shown is None and self.rows > limit:
                raise UsageError(
                    f"the input has more than {limit:,} rows: too many for one document",
                    fix="write a file with --out scores.parquet (or .csv, .jsonl), or stream with -o jsonl",
                )
            if shown is None or len(predictions) < shown:
                predictions += part.predictions
                probabilities += part.probabilities
            if raw:
                replies += part.raw
        return ScoreResult(
            predictions=predictions,
            rows=self.rows,
            deployment=self._scorer.deployment,
            latency_ms=self.latency_ms,
            classes=self._scorer.classes,
            probabilities=probabilities,
            raw="\n".join(reply.decode("utf-8", "replace") for reply in replies) if raw else None,
        )

    def records(self, *, open_columns: bool = False) -> Iterator[tuple[list[dict[str, object]], list[str]]]:
        """Rows of output and their columns, batch by batch: what is kept, the prediction, the probabilities. Results that
        are objects, as rows of a DataFrame are, give a column for each of their names. `open_columns`: later batches may
        have columns that the first does not have."""
        shape: PredictionColumns | None = None
        for part in self.parts():
            if part.whole:
                raise not_by_row(part.predictions[0], part.whole)
            if shape is None:
                shape = PredictionColumns.of(part, self._kept_columns(part), self._scorer.classes, open_columns=open_columns)
            yield shape.records(part), list(shape.names)
        if shape is None:
            none = ScoredRows(0, ())
            yield [], list(PredictionColumns.of(none, self._kept_columns(None), ()).names)

    def _kept_columns(self, part: ScoredRows | None) -> list[str]:
        columns = list(part.kept[0]) if part is not None and part.kept else []
        if part is None and self._keep:
            columns = list(self._table.columns if list(self._keep) == ["all"] else self._keep)
        return columns

    def file(self, path: str, writer: RowsWriter, *, open_columns: bool = False) -> ScoredFile:
        """Write all rows of output."""
        for records, columns in self.records(open_columns=open_columns):
            writer.write(records, columns)
        scorer = self._scorer
        return ScoredFile(path, self.rows, scorer.deployment, self.latency_ms, scorer.retried)


def sample(workspace: Workspace, target: Target, count: int) -> Sequence[Row]:
    """`count` rows of the registered data that the model was trained on, without the target column."""
    model = _model(workspace, target)
    if model.data is None:
        raise NotFoundError(
            f"nobody recorded which registered data model {model.name}:{model.version} was trained on",
            fix="give the rows: a file, or - for standard input",
        )
    asset = workspace.data.get(model.data)
    hidden = {asset.target_column}
    if model.job is not None:
        hidden.add(str(workspace.jobs.get(model.job).spec.get("target_column")))
    rows = workspace.data.sample(model.data, count)
    return [{name: value for name, value in row.items() if name not in hidden} for row in rows]


def _model(workspace: Workspace, target: Target) -> Model:
    if target.model is not None:
        return workspace.models.get(target.model)
    assert target.endpoint is not None
    endpoint = workspace.online_endpoints.get(target.endpoint)
    pointer = next((each.model for each in endpoint.deployments if each.name == _deployment(endpoint, target.deployment)), None)
    if pointer is None:
        raise NotFoundError(f"endpoint {endpoint.name!r} has no such deployment", fix=f"opsml endpoints show {endpoint.name}")
    if not pointer.name:
        raise NotFoundError(
            f"the deployment of endpoint {endpoint.name!r} has no registered model, so that no rows are known for it",
            fix=f"give the rows: a file, or - for standard input; opsml endpoints invoke {endpoint.name} --request-file FILE "
            "sends any body",
        )
    return workspace.models.get(AssetRef(pointer.name, pointer.version))


def _deployment(endpoint: OnlineEndpoint, wanted: str | None) -> str | None:
    """The name as the endpoint writes it; without a wish, the one with most traffic."""
    if wanted is not None:
        return next((each.name for each in endpoint.deployments if names.key(each.name) == names.key(wanted)), None)
    return max((each.name for each in endpoint.deployments), key=lambda name: endpoint.traffic.get(name, 0), default=None)
