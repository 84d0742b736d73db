"""Data checks of every training: said before the first trial, stored with the job."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from opsml_cli.domain.gates import LEAKAGE_CHECK
from opsml_cli.domain.job import Guardrail, Task
from opsml_cli.local.automl import metrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.encode import Encoding
    from opsml_cli.local.automl.problem import Problem
    from opsml_cli.local.automl.target import Target

    Floats = NDArray[np.float64]

# Honest columns reach 0.78 alone on data that is hard to predict; from here on somebody should look. Many classes, as in
# pictures or measurements, are often told apart by one honest column.
LEAK_WARNING = 0.8
_LEAK_WARNING_CLASSES = 0.97
_LEAK_WARNING_R2 = 0.9
LEAK_CERTAIN = 0.995
_IMBALANCE = 0.2
_MOST_ROWS = 50_000
_BINS = 64


def passed(check: str, detail: str) -> Guardrail:
    return Guardrail(check, "passed", detail)


def warning(check: str, detail: str) -> Guardrail:
    return Guardrail(check, "warning", detail)


def of_target(target: Target, folds: int) -> list[Guardrail]:
    """Missing targets, class balance against the majority baseline, classes too small for the folds."""
    import numpy as np

    found = []
    if target.missing:
        share = target.missing / len(target.present)
        found.append(
            warning("Missing target", f"{target.missing} rows ({share:.1%}) have no target and are left out of training")
        )
    if target.task is Task.REGRESSION:
        return found
    counts = np.bincount(target.values[target.present].astype(np.int64), minlength=len(target.classes))
    total, least = int(counts.sum()), int(counts.min())
    most = float(counts.max() / total)
    name = target.classes[int(counts.argmax())]
    said = f"always answering {name!r} has accuracy {most:.3f}"
    if least / total < _IMBALANCE / len(target.classes) * 2:
        rare = target.classes[int(counts.argmin())]
        detail = f"class {rare!r} has {least} of {total} rows ({least / total:.1%}); {said}: judge by AUC, not accuracy"
        found.append(warning("Class balance", detail))
    else:
        found.append(passed("Class balance", said))
    small = [target.classes[index] for index in np.flatnonzero(counts < folds).tolist()]
    if small:
        shown = ", ".join(repr(label) for label in small[:5]) + (", …" if len(small) > 5 else "")
        found.append(
            warning(
                "Small classes",
                f"{len(small)} classes have fewer rows than the {folds} folds ({shown}): their figures are luck",
            )
        )
    return found


def of_columns(encoding: Encoding, missing: dict[str, float]) -> list[Guardrail]:
    """What was left out, filled in or read otherwise than written. `missing`: the share of missing values by column."""
    found = []
    for check, reason in (
        ("Constant columns", "it is constant"),
        ("Empty columns", "it has no value"),
        ("Identifiers", "every value is different: an identifier"),
        ("Unreadable columns", "it holds lists or mappings, not single values"),
    ):
        names = [name for name, why in encoding.dropped.items() if why.startswith(reason)]
        if names:
            found.append(warning(check, f"left out: {_listed(names)}"))
        elif check in ("Constant columns", "Identifiers"):
            found.append(passed(check, "none found"))
    grouped: dict[str, list[str]] = {}
    for check, note in encoding.notes:
        grouped.setdefault(check, []).append(note)
    found += [warning(check, "; ".join(notes[:10])) for check, notes in grouped.items()]
    for check in ("High cardinality", "Mistyped columns"):
        if check not in grouped:
            found.append(passed(check, "none found"))
    holes = {name: share for name, share in missing.items() if share > 0}
    if holes:
        worst = sorted(holes, key=lambda name: -holes[name])
        shown = ", ".join(f"{name!r} {holes[name]:.0%}" for name in worst[:5])
        many = [name for name in worst if holes[name] > 0.5]
        text = f"{len(holes)} columns have missing values ({shown}): the trees take them as they are"
        found.append(warning("Missing values", text) if many else passed("Missing values", text))
    else:
        found.append(passed("Missing values", "none found"))
    return found


def _listed(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(repr(name) for name in names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def of_duplicates(train: Floats, test: Floats | None) -> list[Guardrail]:
    """Rows of the test part that occur in the training part too, column by column."""
    if test is None or not len(test):
        return []
    seen = {row.tobytes() for row in train}
    shared = sum(row.tobytes() in seen for row in test)
    detail = f"{shared} of {len(test)} test rows ({shared / len(test):.1%}) occur in the training rows"
    if shared > 0.02 * len(test):
        return [warning("Duplicate rows", f"{detail}: the test metrics may flatter")]
    return [passed("Duplicate rows", detail)]


def one_part(rows: int, seconds: float) -> Guardrail:
    """The usual folds were left out."""
    detail = f"{rows} rows validate every trial, once: five folds of this table leave no time in {seconds:g} s"
    return passed("Validation split", f"{detail} (--cv 5 asks for them)")


def single_skill(problem: Problem, seconds: float) -> list[tuple[float, str]]:
    """(skill, column), best first: how well one column alone tells the target on rows it has not seen. AUC (the mean over
    classes) for classification, R squared for regression. After `seconds` the columns not yet looked at are left out."""
    import time

    import numpy as np

    deadline = time.monotonic() + seconds

    draw = np.random.default_rng([problem.seed, 49979687])
    rows = np.arange(len(problem.target))
    if len(rows) > _MOST_ROWS:
        rows = draw.choice(len(rows), _MOST_ROWS, replace=False)
    half = draw.random(len(rows)) < 0.5
    target = problem.target[rows]
    wanted = target.astype(np.float64)[:, None]
    if problem.task is Task.CLASSIFICATION:
        labels = target.astype(np.int64)
        # Beyond a dozen classes the frequent ones tell enough.
        picked = [1] if problem.binary else np.argsort(-np.bincount(labels))[:12].tolist()
        wanted = (labels[:, None] == np.array(picked)).astype(np.float64)
    best: dict[str, float] = {}
    for index, feature in enumerate(problem.features):
        codes = _bins(problem.matrix[rows, index], feature.codes)
        guess = np.empty_like(wanted)
        for part in (half, ~half):
            guess[~part] = _means(codes[part], wanted[part], int(codes.max()) + 1)[codes[~part]]
        skill = _skill(wanted, guess, problem.task)
        best[feature.column] = max(best.get(feature.column, 0.0), skill)
        if time.monotonic() > deadline:
            break
    return sorted(((skill, name) for name, skill in best.items()), key=lambda pair: (-pair[0], pair[1]))


def _bins(values: Floats, codes: int) -> NDArray[np.int64]:
    """Bin numbers by quantiles; category codes stay; missing values have a bin of their own."""
    import numpy as np

    absent = np.isnan(values)
    if codes:
        found = np.where(absent, -1, values).astype(np.int64) + 1
    else:
        sound = values[~absent]
        edges = np.unique(np.quantile(sound, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(sound) else np.zeros(0)
        found = np.where(absent, 0, np.searchsorted(edges, np.where(absent, 0.0, values), side="right") + 1)
    return found


def _means(codes: NDArray[np.int64], wanted: Floats, size: int) -> Floats:
    """The target's mean in each bin, drawn towards the overall mean as if ten more rows had it."""
    import numpy as np

    overall = wanted.mean(axis=0) if len(wanted) else np.zeros(wanted.shape[1])
    counts = np.bincount(codes, minlength=size).astype(np.float64)
    sums = np.column_stack([np.bincount(codes, weights=wanted[:, k], minlength=size) for k in range(wanted.shape[1])])
    shrunk: Floats = (sums + 10.0 * overall) / (counts[:, None] + 10.0)
    return shrunk


def _skill(wanted: Floats, guess: Floats, task: Task) -> float:
    import numpy as np

    if task is Task.REGRESSION:
        spread = float(np.sum((wanted - wanted.mean()) ** 2))
        return max(0.0, 1 - float(np.sum((wanted - guess) ** 2)) / spread) if spread > 0 else 0.0
    areas = [metrics.auc(wanted[:, k] > 0.5, guess[:, k]) for k in range(wanted.shape[1])]
    sound = [max(area, 1 - area) for area in areas if not math.isnan(area)]
    return float(np.mean(sound)) if sound else 0.5


def of_leakage(skills: Sequence[tuple[float, str]], problem: Problem, pair: tuple[float, float] | None) -> Guardrail:
    """`pair`: the quick model's score with and without the suspected columns, where it was measured."""
    name = "AUC" if problem.task is Task.CLASSIFICATION else "R2"
    suspects = suspected(skills, problem)
    if not suspects:
        if not skills:
            return passed(LEAKAGE_CHECK, "no column to look at")
        columns = {feature.column for feature in problem.features}
        if len(skills) < len(columns):
            return warning(LEAKAGE_CHECK, f"the time was enough for {len(skills)} of {len(columns)} columns: no sign in those")
        return passed(LEAKAGE_CHECK, f"the best single column is {skills[0][1]!r} with {name} {skills[0][0]:.3f} alone")
    alone = ", ".join(f"{column!r} alone reaches {name} {skill:.3f}" for skill, column in suspects)
    text = f"{alone}: is it known before the outcome?"
    if pair is not None:
        text += f" {name} {pair[0]:.3f} with, {pair[1]:.3f} without"
    text += f"; if it is not, train with --drop-column {suspects[0][1]}"
    certain = max(skill for skill, _ in suspects) >= LEAK_CERTAIN
    return Guardrail(LEAKAGE_CHECK, "failed" if certain else "warning", text)


def suspected(skills: Sequence[tuple[float, str]], problem: Problem) -> list[tuple[float, str]]:
    """The columns that explain too much alone; at most three."""
    limit = _LEAK_WARNING_R2 if problem.task is Task.REGRESSION else LEAK_WARNING if problem.binary else _LEAK_WARNING_CLASSES
    return [(skill, name) for skill, name in skills if skill >= limit][:3]
