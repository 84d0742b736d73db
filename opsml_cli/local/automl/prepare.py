"""From tables to a problem: which rows are learned from, validated on and held out; the checks that come before any trial."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from opsml_cli.domain import featurization, metric_names
from opsml_cli.domain.errors import InvalidInputError, UnsupportedError, UsageError
from opsml_cli.domain.featurization import Featurization
from opsml_cli.domain.fields import FieldError, did_you_mean
from opsml_cli.domain.job import AutoMLSpec, Guardrail, Task
from opsml_cli.local.automl import encode, guardrails, scale, scoring, splits, target, target_means, texts
from opsml_cli.local.automl.encode import Encoding
from opsml_cli.local.automl.problem import Fold, Problem
from opsml_cli.local.automl.target import Target

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from opsml_cli.local.automl.events import Tables

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Held:
    """Rows that no trial sees. `ours`: taken from the training data, so a refit may learn from them in the end."""

    frame: pd.DataFrame
    truth: NDArray[np.generic]
    matrix: Floats
    ours: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """`frame`, `values`, `weights` are all rows that may be learned from, ours held out ones included. `encoding_seconds`:
    what making the matrix took."""

    spec: AutoMLSpec
    target: Target
    encoding: Encoding
    problem: Problem
    held: Held | None
    frame: pd.DataFrame
    values: NDArray[np.generic]
    weights: Floats | None
    excluded: dict[str, str]
    checks: tuple[Guardrail, ...]
    encoding_seconds: float

    @property
    def grown(self) -> float:
        """How many rows a refit learns from, for each row of the search."""
        return len(self.values) / max(1, len(self.problem.target))

    @property
    def answered(self) -> int:
        """How many rows the model answers after the search, for its figures."""
        return 0 if self.held is None else len(self.held.truth)

    def fingerprint(self) -> str:
        """Names the work: trials under another fingerprint are not this training's."""
        digest = hashlib.sha256()
        digest.update(self.problem.matrix.tobytes())
        digest.update(self.problem.target.tobytes())
        spec = self.spec
        said = [self.problem.metric, spec.seed, spec.cross_validations, len(self.problem.folds), list(spec.allowed_algorithms),
                list(spec.blocked_algorithms), [feature.name for feature in self.problem.features]]  # fmt: skip
        digest.update(json.dumps(said, default=str).encode())
        return digest.hexdigest()


def prepare(spec: AutoMLSpec, tables: Tables) -> Prepared:
    """Raises InvalidInputError for data and UsageError for words that cannot be worked with."""
    import numpy as np
    import pandas as pd

    _check_task(spec)
    train = _texted(tables.train)
    if len(train) == 0:
        raise InvalidInputError("the data has no rows", fix="opsml data profile NAME shows what was registered")
    read = target.read(train, spec)
    metric = metric_names.resolve(spec.metric, read.task)
    excluded = _excluded(spec, train)
    frame = train[read.present].reset_index(drop=True)
    values = read.values[read.present]
    if len(frame) < splits.LEAST_ROWS:
        raise InvalidInputError(
            f"{len(frame)} rows have a target: too few to learn from", cause=f"at least {splits.LEAST_ROWS} are needed"
        )
    weights = _weights(spec, frame)
    learn, test = _held_rows(spec, tables, frame, values, read.task)
    part, part_values = frame.iloc[learn], values[learn]
    validated, share = 0, None
    if tables.validation is not None:
        part, more_values = _validation(tables.validation, part, read, excluded)
        validated = len(more_values)
        part_values = np.concatenate([part_values, more_values])
        weights = None if weights is None else np.concatenate([weights, np.ones(validated)])
    fitted_on = part.iloc[: len(part) - validated] if validated else part
    told = _featurization(spec, part, excluded)
    began = time.monotonic()
    encoding = encode.fit(fitted_on, tables.profile, excluded, told)
    if not encoding.columns:
        raise InvalidInputError("no column is left to learn from", cause=_why_none(encoding))
    matrix = _encoded(scoring.Encoder(encoding.columns), part)
    if validated:
        count = len(part)
        folds: tuple[Fold, ...] = (Fold(np.arange(count - validated), np.arange(count - validated, count)),)
    else:
        share = scale.validation_share(len(part), matrix.shape[1], len(read.classes), spec.limits.timeout_seconds)
        folds = splits.folds(spec, part, part_values, read.task, share)
    encoding, matrix = _supervised(
        encoding, matrix, part, part_values, task=read.task, folds=folds, seed=spec.seed, blocked=told.blocked
    )
    took = time.monotonic() - began
    encoder = scoring.Encoder(encoding.columns)
    span = float(values.max() - values.min()) if read.task is Task.REGRESSION else 0.0
    part_weights = None if weights is None else np.concatenate([weights[learn], weights[len(frame) :]])
    whole = Problem(
        read.task, metric, matrix, part_values, part_weights, encoding.features, len(read.classes) or 1, span, read.positive,
        folds, spec.seed,
    )  # fmt: skip
    held = _held(tables, frame, values, rows=test, encoder=encoder, read=read)
    if validated:  # what a refit may learn from: everything but the user's own test rows
        frame = pd.concat([frame, part.iloc[len(part) - validated :]], ignore_index=True)
        values = np.concatenate([values, part_values[len(part_values) - validated :]])
    checks = _checks(read, fitted_on, encoding, whole, held)
    if share is not None and spec.validation_size is spec.cross_validations is None:
        checks = (*checks, guardrails.one_part(len(folds[0].valid), spec.limits.timeout_seconds))
    return Prepared(spec, read, encoding, whole, held, frame, values, weights, excluded, checks, took)


def _checks(read: Target, frame: pd.DataFrame, encoding: Encoding, whole: Problem, held: Held | None) -> tuple[Guardrail, ...]:
    missing = {str(column): float(share) for column, share in frame.isna().mean().items() if column != read.column}
    same = [index for index, feature in enumerate(encoding.features) if not feature.learned]
    checks = [
        *guardrails.of_target(read, max(2, len(whole.folds))),
        *guardrails.of_columns(encoding, missing),
        *guardrails.of_duplicates(whole.matrix[:, same], held.matrix[:, same] if held else None),
    ]
    if held is None:
        checks.append(guardrails.warning("Test rows", "too few rows to hold some out: there are no test metrics"))
    return tuple(checks)


def for_refit(prepared: Prepared) -> tuple[Problem, Encoding]:
    """The problem of all rows: the same target and metric, an encoding fitted on all of them, and as many folds, which each
    leave half as many rows out as the search's did."""
    before = prepared.problem
    told = _featurization(prepared.spec, prepared.frame, prepared.excluded)
    encoding = encode.fit(prepared.frame, None, prepared.excluded, told)
    # The types that the profile told are kept: only codes and ranges may change.
    encoding = _retyped(encoding, prepared.encoding)
    matrix = _encoded(scoring.Encoder(encoding.columns), prepared.frame)
    count = max(2, min(max(splits.DEFAULT_FOLDS, 2 * len(before.folds)), len(prepared.values)))
    folds = splits.stratified_folds(prepared.values, before.task, count, before.seed + 1)
    encoding, matrix = _supervised(
        encoding,
        matrix,
        prepared.frame,
        prepared.values,
        task=before.task,
        folds=folds,
        seed=before.seed,
        blocked=told.blocked,
    )
    kept = folds[: len(before.folds)]
    whole = replace(
        before, matrix=matrix, target=prepared.values, weights=prepared.weights, features=encoding.features, folds=kept
    )
    return whole, encoding


def _supervised(
    encoding: Encoding,
    matrix: Floats,
    frame: pd.DataFrame,
    values: NDArray[np.generic],
    *,
    task: Task,
    folds: Sequence[Fold],
    seed: int,
    blocked: frozenset[str],
) -> tuple[Encoding, Floats]:
    """With what the columns learn of the target."""
    if "TextTargetEncoder" not in blocked:
        encoding, matrix = texts.supervise(encoding, matrix, frame, values, task=task, folds=folds, seed=seed)
    if "CatTargetEncoder" not in blocked:
        encoding, matrix = target_means.supervise(encoding, matrix, values, task=task, folds=folds, seed=seed)
    return encoding, matrix


def _retyped(new: Encoding, old: Encoding) -> Encoding:
    kinds = {column["name"]: column for column in old.columns}
    columns = []
    for column in new.columns:
        known = kinds.get(column["name"])
        if known is None:
            continue
        columns.append({**column, "type": known["type"]} if known["kind"] == column["kind"] else dict(known))
    if len(columns) < len(old.columns):
        names = {column["name"] for column in columns}
        columns += [dict(column) for column in old.columns if column["name"] not in names]
    return Encoding(tuple(columns), old.dropped, old.notes)


def _check_task(spec: AutoMLSpec) -> None:
    known = (Task.CLASSIFICATION, Task.REGRESSION)
    if spec.task is not None and spec.task not in known:
        raise UnsupportedError(
            f"the local workspace does not train {spec.task}",
            cause="it trains classification and regression on tables",
            fix="train in the Azure workspace: opsml -w azure train automl …",
        )


def _texted(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with text column names and rows numbered from 0."""
    if all(isinstance(name, str) for name in frame.columns):
        return frame.reset_index(drop=True)
    return frame.rename(columns=str).reset_index(drop=True)


def _excluded(spec: AutoMLSpec, frame: pd.DataFrame) -> dict[str, str]:
    columns = list(frame.columns)
    if len(set(columns)) < len(columns):
        twice = sorted({name for name in columns if columns.count(name) > 1})
        raise InvalidInputError(f"the data has the column {twice[0]!r} twice", fix="rename one of them")
    for name, option in [(name, "--drop-column") for name in spec.drop_columns] + (
        [
            (column, option)
            for column, option in (
                (spec.weight_column, "the weight column"),
                (spec.group_column, "--group-column"),
                (spec.time_column, "--time-column"),
            )
            if column
        ]
    ):
        if name not in columns:
            raise UsageError(f"the data has no column {name!r} ({option})", cause=did_you_mean(name, columns))
    excluded = dict.fromkeys(spec.drop_columns, "it was dropped by the job")
    if spec.weight_column:
        excluded[spec.weight_column] = "it holds the weights"
    if spec.group_column:
        excluded[spec.group_column] = "it names the groups"
    excluded[spec.target_column] = "it is the target"
    return excluded


def _validation(
    table: pd.DataFrame, part: pd.DataFrame, read: Target, excluded: Mapping[str, str]
) -> tuple[pd.DataFrame, NDArray[np.generic]]:
    """`part` with the usable rows of the validation data behind it, and these rows' target."""
    import pandas as pd

    more = _texted(table)
    codes = target.codes_of(more, read)
    usable = _usable(codes, read.task)
    if not usable.any():
        raise InvalidInputError("the validation data has no row with a known target")
    shared = [name for name in part.columns if name in more.columns]
    _check_columns(part, more, excluded, "validation")
    return pd.concat([part[shared], more[usable][shared]], ignore_index=True), codes[usable]


def _featurization(spec: AutoMLSpec, frame: pd.DataFrame, excluded: Mapping[str, str]) -> Featurization:
    """What the job told of the columns. UsageError for columns that are not there; InvalidInputError where featurization is
    off, and not every column holds numbers."""
    try:
        told = featurization.read(spec.features.get("featurization"))
    except FieldError as error:
        raise UsageError(error.message, cause=error.cause) from error
    columns = [str(name) for name in frame.columns]
    for name in (*told.kinds, *told.imputers):
        if name not in columns:
            raise UsageError(f"the data has no column {name!r} (featurization)", cause=did_you_mean(name, columns))
    if told.mode == "off":
        wrong = [name for name in columns if name not in excluded and frame[name].dtype.kind not in "iufb"]
        if wrong:
            raise InvalidInputError(
                f"FeaturizationRequired: featurization is off, and {len(wrong)} columns hold no numbers",
                cause=f"they are {', '.join(wrong[:5])}",
                fix="switch featurization on, or give numbers",
            )
    return told


def _weights(spec: AutoMLSpec, frame: pd.DataFrame) -> Floats | None:
    import numpy as np

    if spec.weight_column is None:
        return None
    try:
        values = [scoring.number_of(value) for value in frame[spec.weight_column].tolist()]
    except scoring.UnfitError:
        raise InvalidInputError(f"the weight column {spec.weight_column!r} holds no numbers") from None
    weights = np.nan_to_num(np.array(values, dtype=np.float64), nan=1.0)
    if (weights < 0).any() or weights.sum() <= 0:
        raise InvalidInputError(f"the weight column {spec.weight_column!r} holds negative weights, or only zeros")
    # A common factor would change what the penalties of the models mean.
    scaled: Floats = weights / weights.mean()
    return scaled


def _held_rows(
    spec: AutoMLSpec, tables: Tables, frame: pd.DataFrame, values: NDArray[np.generic], task: Task
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import numpy as np

    if tables.test is not None:
        return np.arange(len(values)), np.zeros(0, dtype=np.int64)
    return splits.hold_out(spec, frame, values, task)


def _usable(codes: NDArray[np.generic], task: Task) -> NDArray[np.bool_]:
    import numpy as np

    return np.isfinite(codes.astype(np.float64)) if task is Task.REGRESSION else codes.astype(np.int64) >= 0


def _held(
    tables: Tables,
    frame: pd.DataFrame,
    values: NDArray[np.generic],
    *,
    rows: NDArray[np.int64],
    encoder: scoring.Encoder,
    read: Target,
) -> Held | None:
    if tables.test is not None:
        more = _texted(tables.test)
        codes = target.codes_of(more, read)
        usable = _usable(codes, read.task)
        if not usable.any():
            raise InvalidInputError("the test data has no row with a known target")
        more = more[usable].reset_index(drop=True)
        return Held(more, codes[usable], _encoded(encoder, more), ours=False)
    if not len(rows):
        return None
    part = frame.iloc[rows]
    return Held(part, values[rows], _encoded(encoder, part), ours=True)


def _check_columns(train: pd.DataFrame, other: pd.DataFrame, excluded: Mapping[str, str], what: str) -> None:
    absent = [name for name in train.columns if name not in other.columns and name not in excluded]
    if absent:
        raise InvalidInputError(
            f"the {what} data has no column {absent[0]!r}", cause=did_you_mean(absent[0], list(other.columns))
        )


def _encoded(encoder: scoring.Encoder, frame: pd.DataFrame) -> Floats:
    try:
        return encoder.frame(frame)
    except scoring.ColumnError as error:
        raise InvalidInputError(str(error), cause="the tables of one job must have the same columns and types") from error


def _why_none(encoding: Encoding) -> str:
    reasons: Sequence[str] = [f"{name!r}: {why}" for name, why in encoding.dropped.items() if why != "it is the target"]
    return "; ".join(reasons[:5]) or "the data has no column besides the target"
