"""`opsml score`"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.session import Session
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.names import parse_ref
from opsml_cli.domain.scoring import BATCH_ROWS, PARALLEL, ScorePlan
from opsml_cli.services import score as scoring

if TYPE_CHECKING:
    from opsml_cli.domain.endpoint import ScoreResult
    from opsml_cli.domain.progress import Progress
    from opsml_cli.domain.scoring import RowScorer, RowTable, ScoredFile

_SHOWN = 20  # predictions that a person is shown
_STREAMS = ("jsonl", "tsv")


def score(
    session: Session,
    endpoint: Annotated[str | None, typer.Argument(metavar="[ENDPOINT]", help="The endpoint; not with --model.")] = None,
    source: Annotated[
        str | None, typer.Argument(metavar="[INPUT]", help="CSV, JSON, JSON lines or Parquet; - is standard input.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=1, help="Take N rows of the model's registered training data.")
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Probabilities of the classes too.")] = False,
    deployment: options.Deployment = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME[:V]", help="Score with this model in this process, with no server.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="FILE", help="Write a row of output for each row: .csv, .json, .jsonl or .parquet."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="COLUMNS", help="Columns of the input to put beside the predictions: id,name, or all."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file of --out when it is there.")] = False,
    batch_rows: Annotated[
        int, typer.Option("--batch-rows", metavar="N", min=1, max=100_000, help="Rows in a request at most; 1 MiB at most too.")
    ] = BATCH_ROWS,
    parallel: Annotated[
        int, typer.Option("--parallel", metavar="N", min=1, max=64, help="Requests that are under way at a time.")
    ] = PARALLEL,
    raw: Annotated[bool, typer.Option("--raw", help="Print the endpoint's replies as they came.")] = False,
) -> ScoreResult | ScoredFile | str | Iterator[list[dict[str, object]]]:
    """Score rows on an endpoint, or with a model in this process.

    Example: opsml score bank customers.csv --proba --keep id --out scores.csv
    """
    if model is not None:
        if source is not None or deployment is not None or raw:
            raise UsageError("--model scores in this process: it goes with INPUT alone", fix="opsml score --model NAME INPUT")
        # Without an endpoint, the first word is the input.
        source, endpoint = endpoint, None
    elif endpoint is None:
        raise UsageError("ENDPOINT is missing", fix="opsml endpoints list shows them; or score with --model NAME")
    if (source is None) == (sample is None):
        raise UsageError("give INPUT or --sample N", cause="neither was given" if source is None else "both were given")
    streamed = out is None and not raw and session.options.format in _STREAMS and session.options.query is None
    kept = [name.strip() for name in keep.split(",")] if keep is not None else []
    if not all(kept):
        raise UsageError(f"--keep {keep!r} names a column without a name", fix="--keep id,name")
    if kept and out is None and not streamed:
        raise UsageError("--keep needs rows to put the columns into", fix="add --out FILE, -o jsonl or -o tsv")
    if force and out is None:
        raise UsageError("--force replaces the file of --out, and there is none", fix="add --out FILE")
    target = scoring.Target(endpoint, deployment, parse_ref(model, "model name") if model is not None else None)
    plan = ScorePlan(deployment, proba, batch_rows, parallel)
    run = _Run(session, target, plan, kept, source, sample)
    if streamed:
        return run.rows()
    if out is not None:
        return run.file(out, force=force)
    return run.result(raw=raw)


class _Run:
    """One run of the command, in the shape that its output has."""

    def __init__(
        self, session: Session, target: scoring.Target, plan: ScorePlan, keep: list[str], source: str | None, sample: int | None
    ) -> None:
        self._session, self._target, self._plan, self._keep = session, target, plan, keep
        self._source, self._sample = source, sample

    def rows(self) -> Iterator[list[dict[str, object]]]:
        """The rows of output as they come."""
        as_written = self._session.options.format == "tsv"
        with self._scorer() as scorer, self._table(scorer, as_written=as_written) as table:
            for records, _ in self._scoring(scorer, table).records(open_columns=not as_written):
                yield records
            self._tell(scorer)

    def file(self, path: str, *, force: bool) -> ScoredFile:
        from opsml_cli.tables.writing import RowsFile

        place = RowsFile(path, force=force)
        with self._scorer() as scorer, self._table(scorer, as_written=place.suffix == ".csv") as table, place:
            found = self._scoring(scorer, table).file(str(place.path), place, open_columns=place.suffix in (".json", ".jsonl"))
            self._tell(scorer)
        return found

    def result(self, *, raw: bool) -> ScoreResult | str:
        with self._scorer() as scorer, self._table(scorer, as_written=True) as table:
            shown = _SHOWN if self._session.options.format in ("table", "none") and not raw else None
            run = self._scoring(scorer, table)
            found = run.result(shown=shown, raw=raw)
            self._tell(scorer)
            if run.whole and not raw:
                answers = "one answer" if run.whole == 1 else f"{run.whole} answers, one a request,"
                rows = "the row" if run.rows == 1 else f"all {run.rows} rows"
                self._session.output.note(f"the model gave {answers} for {rows}, not one a row")
        return found.raw or "" if raw else found

    def _scorer(self) -> RowScorer:
        return scoring.opened(self._session.workspace, self._target, self._plan)

    def _table(self, scorer: RowScorer, *, as_written: bool) -> AbstractContextManager[RowTable]:
        from opsml_cli.tables.row_batches import ListedRows, open_rows

        if self._sample is not None:
            return nullcontext(ListedRows(scoring.sample(self._session.workspace, self._target, self._sample)))
        return open_rows(str(self._source), scorer.types, as_written=as_written)

    def _scoring(self, scorer: RowScorer, table: RowTable) -> scoring.Scoring:
        return scoring.Scoring(scorer, table, self._plan, self._keep, self._progress())

    def _progress(self) -> Progress:
        """A picture for a person; nothing in a log."""
        from opsml_cli.domain.progress import Silent

        return self._session.progress if sys.stderr is not None and sys.stderr.isatty() else Silent()

    def _tell(self, scorer: RowScorer) -> None:
        if scorer.retried:
            requests = "1 request was" if scorer.retried == 1 else f"{scorer.retried} requests were"
            self._session.output.note(
                f"{requests} sent again: the endpoint was busy, or closed the connection before it answered"
            )
