"""What a finished training has to show: its job with the figures that reports draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opsml_cli.domain.job import Job


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A point of a curve, and the probability from which rows count as of the class there."""

    x: float
    y: float
    threshold: float


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Rows of like probability: the mean that was predicted, and the share that came true."""

    predicted: float
    observed: float
    rows: int


@dataclass(frozen=True, slots=True)
class GainPoint:
    """Taking the best `share` of all rows finds `gain` of the class's rows, `lift` times what chance would."""

    share: float
    gain: float
    lift: float


@dataclass(frozen=True, slots=True)
class ClassCurves:
    """The curves of one class against all others. ROC is (false, true positive rate), precision-recall (recall, precision)."""

    label: str
    roc: tuple[CurvePoint, ...]
    precision_recall: tuple[CurvePoint, ...]
    calibration: tuple[CalibrationBin, ...]
    gain: tuple[GainPoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Confusion:
    """Counts by truth (rows) and prediction (columns), in the order of `labels`."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ColumnShare:
    """How much of the model's answers a column moves; the shares of all columns sum to 1."""

    column: str
    share: float


@dataclass(frozen=True, slots=True)
class Dependence:
    """Partial dependence: the mean answer over the data when every row has the value; `values` in their order."""

    column: str
    values: tuple[object, ...]
    answers: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Predicted:
    """A row's true value and the model's."""

    truth: float
    predicted: float


@dataclass(frozen=True, slots=True)
class JobReport:
    """`rows` says which rows the curves are of: `test` (no trial has seen them) or `validation` (out of fold).
    Classification has `curves` and `confusion`, regression `predictions` (a sample of the rows). `dependence` of the columns
    that move the answers most: on the probability of `dependence_of`, or on the values of a regression."""

    job: Job
    rows: str
    validation_metrics: Mapping[str, float] = field(default_factory=dict)
    curves: tuple[ClassCurves, ...] = ()
    confusion: Confusion | None = None
    importance: tuple[ColumnShare, ...] = ()
    predictions: tuple[Predicted, ...] = ()
    dependence: tuple[Dependence, ...] = ()
    dependence_of: str | None = None


@dataclass(frozen=True, slots=True)
class SavedReport:
    """A report that was written to a file."""

    job: str
    path: str
    size_bytes: int
