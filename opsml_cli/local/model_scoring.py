"""Rows scored by a registered model without a server: our own in this process, any other in a host of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from opsml_cli.domain.contract import BadRequest
from opsml_cli.domain.endpoint import Row, ScoreRequest, ScoreResult
from opsml_cli.domain.errors import ContractError, InvalidInputError
from opsml_cli.domain.model import Model
from opsml_cli.domain.scoring import ScoredRows, ScorePlan, naming_row

Rows = list[dict[str, Any]]


class _Loaded(NamedTuple):
    types: Mapping[str, str]
    classes: Sequence[object]
    score: Callable[[Rows, bool], list[Any]]


class ModelScorer:
    """As `RowScorer`. `model` is trusted, and an own one verified; it is loaded once. ContractError when it fails."""

    retried = 0
    deployment: str | None = None

    def __init__(self, root: Path, model: Model, plan: ScorePlan) -> None:
        self._root, self._model, self._plan = root, model, plan
        self._open = ExitStack()
        self._lines: list[str] = []
        self._loaded: _Loaded | None = None

    def __enter__(self) -> ModelScorer:
        with ExitStack() as opening:
            self._loaded = self._own() if self._model.own else self._foreign(opening)
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def types(self) -> Mapping[str, str]:
        return self._ready.types

    @property
    def classes(self) -> Sequence[object]:
        return self._ready.classes if self._plan.proba else ()

    def score(self, batches: Iterable[Sequence[Row]]) -> Iterator[ScoredRows]:
        first = 0
        for rows in batches:
            yield self._scored(first, rows)
            first += len(rows)

    def _scored(self, first: int, given: Sequence[Row]) -> ScoredRows:
        rows: Rows = [dict(row) for row in given]
        answer = self._ready.score
        try:
            return ScoredRows(first, answer(rows, False), answer(rows, True) if self._plan.proba else [])
        except BadRequest as error:
            message, place = error.message, None
            if error.row is not None:
                message = naming_row(message, error.row + first)
                place = f"expected {error.expected}" if error.expected else None
            fix = f"opsml models show {self._model.name} names the columns"
            raise InvalidInputError(message, cause=place, fix=fix) from error
        except ContractError as error:
            raise ContractError(error.message, cause=error.cause or self._cause()) from error

    @property
    def _ready(self) -> _Loaded:
        assert self._loaded is not None, "the model is loaded on entering"
        return self._loaded

    def _own(self) -> _Loaded:
        from opsml_cli.local.serving import scorers

        scorer = scorers.load(Path(self._model.path))

        def answer(rows: Rows, proba: bool) -> list[Any]:
            scorer.schema.check(rows)
            return scorer.score(rows, proba)

        return _Loaded({column.name: column.type for column in scorer.schema.columns}, scorer.classes, answer)

    def _foreign(self, opening: ExitStack) -> _Loaded:
        from opsml_cli.local.environments.choosing import unmet_of
        from opsml_cli.local.serving.hosting import copies
        from opsml_cli.local.serving.hosting import rows as hosted
        from opsml_cli.local.serving.hosting.process import HostFailedError
        from opsml_cli.local.serving.hosting.session import open_host

        def report(level: str, text: str) -> None:
            if level == "error":
                self._lines.append(text)
                del self._lines[:-20]

        try:
            session = opening.enter_context(open_host(self._root, copies.source_of(self._model), report))
        except HostFailedError as error:
            model, told = f"{self._model.name}:{self._model.version}", unmet_of(Path(self._model.path))
            raise ContractError(
                f"model {model}: {error}",
                cause=told or self._cause(),
                fix=f"opsml deploy {model} --environment isolated" if told else None,
            ) from error
        types = {str(column["name"]): str(column["type"]) for column in session.description.columns}
        return _Loaded(types, session.description.classes, lambda rows, proba: hosted.score(session, rows, proba=proba))

    def _cause(self) -> str | None:
        """The last error that the model's process wrote."""
        return self._lines[-1].splitlines()[-1][:300] if self._lines and self._lines[-1].strip() else None


def score(root: Path, model: Model, request: ScoreRequest) -> ScoreResult:
    """All rows at once. InvalidInputError for rows that the model refuses; ContractError when it fails."""
    with ModelScorer(root, model, ScorePlan(proba=request.proba)) as scorer:
        started = time.perf_counter()
        (found,) = scorer.score([request.rows])
        seconds = time.perf_counter() - started
        return ScoreResult(
            predictions=found.predictions,
            rows=len(request.rows),
            deployment=None,
            latency_ms=round(seconds * 1000, 3),
            classes=scorer.classes,
            probabilities=found.probabilities,
        )
