"""Two models on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opsml_cli.domain.job import TableSource
from opsml_cli.domain.names import AssetRef

GATES = {"better": ("better",), "not-worse": ("better", "tie")}  # by gate: the verdicts that pass it


@dataclass(frozen=True, slots=True)
class CompareModels:
    """Compare `a` with `b` on `data`, rows that neither has learned from. `target_column` and `metric` None: those of `a`'s
    training and its task's default."""

    a: AssetRef
    b: AssetRef
    data: TableSource
    target_column: str | None = None
    metric: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """`difference` is `a`'s metric minus `b`'s, `interval` holds it with 95 % confidence: by a bootstrap over `rows` in which
    both models answer the same drawn rows, and identical rows (`distinct_rows` of them differ) are drawn together.
    `verdict` is of `a`: `better` or `worse` where the interval leaves 0 out, else `tie`. `trained_on` names the models that
    learned from this very data: for them the figures flatter."""

    a: str
    b: str
    metric: str
    rows: int
    distinct_rows: int
    difference: float
    interval: tuple[float, float]
    verdict: str
    metrics: Mapping[str, Mapping[str, float]]
    trained_on: tuple[str, ...] = ()
