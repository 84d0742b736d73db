"""What a training was asked, checked against its tables: the same on every workspace, and the first error names the field."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from opsml_cli.domain import metric_names, names
from opsml_cli.domain.data import ColumnProfile, ColumnType, DataAsset, DataProfile
from opsml_cli.domain.errors import InvalidInputError, UsageError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.domain.names import AssetRef

# A path given as data becomes an asset of this prefix: kept for ever with the job, and apart from the names people gave.
PATH_PREFIX = "file-"
TABLES = ("data", "validation_data", "test_data")  # fields of the spec that name one
_NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)
SERVED_FORMS = ("small", "ensemble")
_THRESHOLD = re.compile(r"(?:f1|balanced_accuracy|cost:[0-9]+(?:\.[0-9]+)?,[0-9]+(?:\.[0-9]+)?)\Z", re.ASCII)

TaskOf = Callable[[DataAsset, ColumnProfile], Task]


def sound(spec: AutoMLSpec, tables: Mapping[str, DataAsset], task_of: TaskOf) -> AutoMLSpec:
    """The spec with fixed versions of its `tables` (by field) and with task, metric and model name set.

    `task_of` tells the task from the target column where the spec does not say. UsageError or InvalidInputError."""
    train = tables["data"]
    profile = train.profile
    if profile is None or train.rows is None:
        raise InvalidInputError(f"{train.name}:{train.version} is no table", fix="register a CSV, Parquet or JSON lines file")
    target = _column(profile, spec.target_column, train, "--target-column")
    if spec.task is Task.REGRESSION and target.type not in _NUMERIC:
        raise InvalidInputError(
            f"the target column {target.name!r} holds {target.type.value} values: regression needs numbers",
            fix="--task classification",
        )
    task = spec.task if spec.task is not None else task_of(train, target)
    dropped = tuple(_column(profile, column, train, "--drop-column").name for column in spec.drop_columns)
    if target.name in dropped:
        raise UsageError(f"the target column {target.name!r} cannot be dropped")
    _check_rows(spec, train, profile, target, dropped)
    if (
        spec.weight_column is not None
        and _column(profile, spec.weight_column, train, "weight_column_name").type not in _NUMERIC
    ):
        raise InvalidInputError(f"the weight column {spec.weight_column!r} holds no numbers")
    for column, flag in ((spec.group_column, "--group-column"), (spec.time_column, "--time-column")):
        if column is not None and _column(profile, column, train, flag).name == target.name:
            raise UsageError(f"{flag} is the target column")
    for field, asset in tables.items():
        _check_same_columns(profile, target.name, dropped, field, asset)
    if spec.threshold_for is not None and task is not Task.CLASSIFICATION:
        raise UsageError("--threshold-for is for classification: regression has no threshold")
    fixed = {field: TableSource(asset=AssetRef(asset.name, asset.version)) for field, asset in tables.items()}
    return replace(
        spec,
        target_column=target.name,
        task=task,
        metric=metric_names.resolve(spec.metric, task),
        drop_columns=dropped,
        model_name=spec.model_name or default_model_name(train.name, target.name),
        data=fixed["data"],
        validation_data=fixed.get("validation_data"),
        test_data=fixed.get("test_data"),
    )


def default_model_name(data: str, target: str) -> str:
    """`<data>-<target>`, in the letters that a name may have."""
    return slug(f"{data.removeprefix(PATH_PREFIX)}-{target}")


def slug(text: str) -> str:
    """`text` as a valid name."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")[:200].strip("-_")
    return plain or "table"


def check_words(spec: AutoMLSpec) -> None:
    """What needs no data: names, limits and sizes. UsageError."""
    names.asset_name(spec.experiment, "experiment name")
    for name, kind in ((spec.name, "job name"), (spec.model_name, "model name")):
        if name is not None:
            names.asset_name(name, kind)
    _check_limits(spec.limits)
    ways = [
        flag
        for flag, given in (
            ("--cv", spec.cross_validations),
            ("--validation-data", spec.validation_data),
            ("--validation-size", spec.validation_size),
        )
        if given is not None
    ]
    if len(ways) > 1:
        raise UsageError(f"{ways[0]} and {ways[1]} exclude each other", fix=f"keep {ways[0]} or {ways[1]}")
    if spec.group_column is not None and spec.time_column is not None:
        raise UsageError("--group-column and --time-column exclude each other", fix="keep one of them")
    if spec.test_data is not None and spec.test_size is not None:
        raise UsageError("--test-data and --test-size exclude each other", fix="keep one of them")
    for flag, share in (("--validation-size", spec.validation_size), ("--test-size", spec.test_size)):
        if share is not None and not 0 < share < 1:
            raise UsageError(f"{flag} is {share:g}", cause="expected a share of the rows between 0 and 1, such as 0.2")
    if (spec.validation_size or 0) + (spec.test_size or 0) >= 1:
        raise UsageError("--validation-size and --test-size leave no rows to train on")
    if spec.cross_validations is not None and not 2 <= spec.cross_validations <= 100:
        raise UsageError(f"--cv is {spec.cross_validations}", cause="expected 2 to 100 folds")
    if not 0 <= spec.seed < 2**31:
        raise UsageError(f"--seed is {spec.seed}", cause="expected 0 to 2147483647")
    _check_served_form(spec)
    if spec.threshold_for is not None and not _THRESHOLD.match(spec.threshold_for):
        raise UsageError(
            f"{spec.threshold_for!r} is no aim for a threshold",
            cause="expected f1, balanced_accuracy, or cost:FP,FN with the cost of a false positive and a false negative",
        )


def _check_served_form(spec: AutoMLSpec) -> None:
    if spec.serve not in SERVED_FORMS:
        raise UsageError(
            f"{spec.serve!r} is no form of a served model",
            cause=did_you_mean(spec.serve, SERVED_FORMS),
            fix=f"--serve {' or '.join(SERVED_FORMS)}",
        )
    if spec.serve == "ensemble" and not spec.votes:
        raise UsageError(
            "--serve ensemble and enable_vote_ensemble: false exclude each other", fix="--serve small, or leave the switch out"
        )


def _check_limits(limits: Limits) -> None:
    for flag, value in (("--timeout", limits.timeout_seconds), ("--trial-timeout", limits.trial_timeout_seconds)):
        if value is not None and not 0 < value <= 366 * 86400:
            raise UsageError(f"{flag} is {value:g} s", cause="expected more than zero, and at most a year")
    for flag, count in (("--max-trials", limits.max_trials), ("--max-concurrent-trials", limits.max_concurrent_trials)):
        if count is not None and count < 1:
            raise UsageError(f"{flag} is {count}", cause="expected at least 1")


def _column(profile: DataProfile, name: str, asset: DataAsset, flag: str) -> ColumnProfile:
    found = next((column for column in profile.columns if column.name == name), None)
    if found is None:
        columns = [column.name for column in profile.columns]
        raise InvalidInputError(
            f"{asset.name}:{asset.version} has no column {name!r}",
            cause=did_you_mean(name, columns),
            fix=f"{flag} with one of the columns that `opsml data profile {asset.name}` shows",
        )
    return found


def _check_rows(
    spec: AutoMLSpec, asset: DataAsset, profile: DataProfile, target: ColumnProfile, dropped: tuple[str, ...]
) -> None:
    rows = profile.rows - target.missing
    where = f"{asset.name}:{asset.version}"
    if rows < 10:
        raise InvalidInputError(f"{where} has {rows} rows with a target: too few to learn from", cause="at least 10 are needed")
    if target.unique < 2:
        raise InvalidInputError(f"the target column {target.name!r} of {where} has one value only: there is nothing to learn")
    if len(profile.columns) - len(dropped) - 1 - (spec.weight_column is not None) - (spec.group_column is not None) < 1:
        raise InvalidInputError(f"{where} has no column left to learn from", fix="drop fewer columns")
    if spec.cross_validations is not None and spec.cross_validations > rows // 2:
        raise UsageError(f"--cv is {spec.cross_validations} for {rows} rows", cause="each fold needs at least two rows")


def _check_same_columns(train: DataProfile, target: str, dropped: tuple[str, ...], field: str, asset: DataAsset) -> None:
    if asset.profile is None:
        raise InvalidInputError(f"{asset.name}:{asset.version} ({field}) is no table")
    there = {column.name for column in asset.profile.columns}
    missing = [column.name for column in train.columns if column.name not in there and column.name not in dropped]
    if target not in there:
        raise InvalidInputError(f"{asset.name}:{asset.version} ({field}) has no target column {target!r}")
    if missing:
        raise InvalidInputError(
            f"{asset.name}:{asset.version} ({field}) lacks {len(missing)} columns of the training data",
            cause=f"missing: {', '.join(missing[:5])}",
        )
