"""The target column: which task it is, its classes or values, the rows that have one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import Task
from opsml_cli.local.automl import scoring

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from opsml_cli.domain.job import AutoMLSpec

MOST_CLASSES = 1000
_FEW_VALUES = 20
_LARGEST = 1e30


@dataclass(frozen=True, slots=True)
class Target:
    """`values` (rows,) class indices (int64) or numbers (float64), for the rows where `present`; `classes` sorted."""

    column: str
    task: Task
    values: NDArray[np.generic]
    present: NDArray[np.bool_]
    classes: tuple[Any, ...] = ()
    positive: int | None = None

    @property
    def missing(self) -> int:
        return int((~self.present).sum())


def read(frame: pd.DataFrame, spec: AutoMLSpec) -> Target:
    """Raises InvalidInputError when the column cannot be learned."""
    name = spec.target_column
    if name not in frame.columns:
        raise InvalidInputError(
            f"the data has no column {name!r}",
            cause=did_you_mean(name, [str(column) for column in frame.columns]),
            fix="--target-column COLUMN",
        )
    series = frame[name]
    labels = _labels(series)
    task = spec.task or _guess(labels)
    if task is Task.REGRESSION:
        return _numbers(name, labels)
    return _classes(name, labels, spec.positive_label)


def _labels(series: pd.Series[Any]) -> list[object]:
    """Each row's value as a plain one; of texts, each distinct one is looked at once."""
    import pandas as pd

    if not isinstance(series.dtype, pd.StringDtype):
        return [_plain(value) for value in series.tolist()]
    places, distinct = series.factorize()
    plain = [*map(_plain, distinct), None]  # a missing value has the place -1
    return [plain[place] for place in places.tolist()]


def _plain(value: object) -> object:
    """The value as a plain Python one, None when missing, whole floats as integers."""
    import numpy as np

    if scoring.is_missing(value):
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool | int | float | str):
        return value
    try:
        return scoring.category_text(value)
    except scoring.UnfitError:
        raise InvalidInputError(
            "the target column holds lists or mappings", cause="a target is one value a row", fix="--target-column COLUMN"
        ) from None


def _guess(labels: list[object]) -> Task:
    """Regression for numbers that are fractional or many, else classification."""
    present = [label for label in labels if label is not None]
    numeric = all(isinstance(label, int | float) and not isinstance(label, bool) for label in present)
    if not numeric:
        return Task.CLASSIFICATION
    distinct = set(present)
    if any(isinstance(label, float) for label in distinct) or len(distinct) > _FEW_VALUES:
        return Task.REGRESSION
    return Task.CLASSIFICATION


def _numbers(name: str, labels: list[object]) -> Target:
    import numpy as np

    values = np.full(len(labels), np.nan)
    for index, label in enumerate(labels):
        try:
            values[index] = scoring.number_of(label) if not isinstance(label, bool) else float(label)
        except scoring.UnfitError:
            raise InvalidInputError(
                f"the target column {name!r} holds {label!r}, which is no number",
                cause="regression needs a numeric target",
                fix="--task classification",
            ) from None
    present = np.isfinite(values)
    sound = values[present]
    if len(sound) == 0:
        raise InvalidInputError(f"the target column {name!r} has no value", fix="--target-column COLUMN")
    if sound.min() == sound.max():
        raise InvalidInputError(
            f"the target column {name!r} holds one value only, {sound[0]:g}", cause="there is nothing to learn"
        )
    # LightGBM holds targets in 32 bits.
    if float(np.abs(sound).max()) > _LARGEST or float(np.abs(sound).max()) < 1 / _LARGEST:
        raise InvalidInputError(
            f"the target column {name!r} holds values of the size of {np.abs(sound).max():.0e}",
            cause="training works with 32 bits",
            fix="give the target in another unit",
        )
    return Target(name, Task.REGRESSION, values, present)


def _order(label: object) -> tuple[int, float, str]:
    if isinstance(label, bool | int | float):
        return (0, float(label), "")
    return (1, 0.0, str(label))


def _classes(name: str, labels: list[object], positive_label: str | None) -> Target:
    import numpy as np

    kinds = {type(label) for label in labels if label is not None}
    if len(kinds) > 1:  # 1 and "1" in one column are one class
        labels = [None if label is None else scoring.category_text(label) for label in labels]
    classes = sorted({label for label in labels if label is not None}, key=_order)
    if not classes:
        raise InvalidInputError(f"the target column {name!r} has no value", fix="--target-column COLUMN")
    if len(classes) == 1:
        raise InvalidInputError(
            f"the target column {name!r} holds one class only, {classes[0]!r}", cause="there is nothing to tell apart"
        )
    present_rows = sum(label is not None for label in labels)
    if len(classes) > MOST_CLASSES or len(classes) > max(2, present_rows // 2):
        raise InvalidInputError(
            f"the target column {name!r} has {len(classes)} classes in {present_rows} rows",
            cause="it looks like an identifier, free text or a measured number",
            fix="--task regression for numbers, or another --target-column",
        )
    codes = {label: index for index, label in enumerate(classes)}
    values = np.array([-1 if label is None else codes[label] for label in labels], dtype=np.int64)
    return Target(name, Task.CLASSIFICATION, values, values >= 0, tuple(classes), _positive(classes, positive_label))


def _positive(classes: list[Any], label: str | None) -> int | None:
    if label is None:
        return 1 if len(classes) == 2 else None
    texts = [scoring.category_text(value) for value in classes]
    for wanted in (label, label.casefold()):
        for index, text in enumerate(texts):
            if wanted in (text, text.casefold()):
                return index if len(classes) == 2 else None
    raise InvalidInputError(
        f"the target has no class {label!r}", cause=did_you_mean(label, texts), fix="--positive-label LABEL"
    )


def codes_of(frame: pd.DataFrame, target: Target) -> NDArray[np.generic]:
    """The target of other rows (validation, test) in the same codes; -1 or NaN where missing or unknown."""
    import numpy as np

    if target.column not in frame.columns:
        raise InvalidInputError(
            f"the validation or test data has no column {target.column!r}",
            cause=did_you_mean(target.column, [str(column) for column in frame.columns]),
        )
    labels = [_plain(value) for value in frame[target.column].tolist()]
    if target.task is Task.REGRESSION:
        return _numbers(target.column, labels).values
    codes = {scoring.category_text(label): index for index, label in enumerate(target.classes)}
    return np.array([-1 if label is None else codes.get(scoring.category_text(label), -1) for label in labels], dtype=np.int64)
