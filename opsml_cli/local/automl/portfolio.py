"""What is tried: a short portfolio in a fixed order, then configurations drawn from the seed, some near the best so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from opsml_cli.domain.algorithms import known_algorithm
from opsml_cli.domain.errors import UnsupportedError
from opsml_cli.domain.job import Task

if TYPE_CHECKING:
    import numpy as np

LIGHTGBM = "LightGBM"
FOREST = "RandomForest"
RANDOM_TREES = "ExtremeRandomTrees"
FORESTS = (FOREST, RANDOM_TREES)
FEW_ROWS = 10_000  # up to here a random tree goes on to single rows (random_trees.py)
ENSEMBLE = "VotingEnsemble"
NEURAL = "NeuralNetwork"  # Azure's own networks for tables are of another kind, and have other names
# Neither has Azure kernel models for tables.
KERNEL = {Task.CLASSIFICATION: "KernelLogisticRegression", Task.REGRESSION: "KernelRidge"}
LINEAR = {Task.CLASSIFICATION: "LogisticRegression", Task.REGRESSION: "ElasticNet"}

_LARGEST_RATE = 0.2


@dataclass(frozen=True, slots=True)
class Candidate:
    """One configuration. `cost` is its expected time relative to the portfolio's first; `label` tells it apart in a log."""

    algorithm: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    cost: float = 1.0


def of_trees(algorithm: str) -> bool:
    return algorithm in (LIGHTGBM, *FORESTS)


def trained_here(task: Task) -> tuple[str, ...]:
    return (LIGHTGBM, LINEAR[task], FOREST, RANDOM_TREES, NEURAL, KERNEL[task])


def algorithms(task: Task, allowed: Sequence[str], blocked: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(the algorithms to try, notes on allowed ones that this machine does not train). UsageError for unknown names or
    when nothing is left."""
    here = trained_here(task)
    wanted = [known_algorithm(name, task, "--allow-algorithm", here) for name in allowed]
    unwanted = [known_algorithm(name, task, "--block-algorithm", here) for name in blocked]
    absent = tuple(name for name in wanted if name not in here)
    left = tuple(name for name in here if (not wanted or name in wanted) and name not in unwanted)
    if not left:
        raise UnsupportedError(
            "no algorithm is left to train",
            cause=f"this workspace trains {', '.join(here)}",
            fix=f"--allow-algorithm {here[0]}, or train in the Azure workspace: -w azure",
        )
    return left, absent


_BASE: dict[str, object] = {
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 20,
    "feature_fraction_bynode": 0.8,
    "bagging_fraction": 0.9,
    "lambda_l2": 1.0,
    "native_categories": False,
    "extra_trees": False,
    "linear_tree": False,
    "linear_lambda": 1.0,
    "max_bin": 255,
}


def _boosted(cost: float, **changes: object) -> Candidate:
    return Candidate(LIGHTGBM, {**_BASE, **changes}, cost)


def _linear_leaves(leaf: int, leaves: int) -> Candidate:
    return _boosted(1.0, min_data_in_leaf=max(10, leaf), num_leaves=leaves, feature_fraction_bynode=0.6, linear_tree=True)


def _kernel(task: Task, reach: float, alpha: float, **changes: object) -> Candidate:
    return Candidate(KERNEL[task], {"reach": reach, "alpha": alpha, **changes}, 1.0)


def portfolio(
    task: Task, rows: int, allowed: Sequence[str], *, skewed: bool = False, outputs: int = 1, absolute: bool = False
) -> list[Candidate]:
    """The fixed part, best first impression first. Small tables get trees that need fewer rows. Trees with linear models in
    their leaves, which cannot learn `absolute` errors, need few leaves (measured: alone often the best on small tables).
    `skewed` targets (see Problem) are learned by their logarithm too. With more than two classes (`outputs`) a round is a
    tree for each: the first trial learns in larger steps (measured: half of the time and a smaller log loss on satellite
    images and on digits), and what is no tree comes next. Kernels are cheap, and where they help they help much."""
    small = rows < 5000
    leaf = 20 if rows >= 2000 else max(2, rows // 100)
    fine, few = (1023 if rows >= 10_000 else 255), rows <= FEW_ROWS
    listed = [
        _boosted(1.0, min_data_in_leaf=leaf, num_leaves=15 if small else 31),
        _boosted(1.6, min_data_in_leaf=leaf, num_leaves=12 if small else 31, learning_rate=0.03,
                 feature_fraction_bynode=0.4 if small else 0.65, max_bin=fine),
        _boosted(1.5, min_data_in_leaf=leaf, num_leaves=6 if small else 20, learning_rate=0.03, lambda_l2=0.1,
                 feature_fraction_bynode=0.6 if small else 0.8, max_bin=fine),
        Candidate(LINEAR[task], {"alpha": 1.0}, 0.7),
        _boosted(1.2, min_data_in_leaf=leaf, num_leaves=4, learning_rate=0.06, feature_fraction_bynode=0.5),
        Candidate(FOREST, {"trees": 100, "min_data_in_leaf": 2, "feature_fraction_bynode": 0.6}, 2.5),
        _boosted(1.5, min_data_in_leaf=leaf, num_leaves=48, extra_trees=True, learning_rate=0.06),
        _boosted(1.2, min_data_in_leaf=max(leaf, 10), num_leaves=31, native_categories=True, lambda_l2=10.0),
        _boosted(2.2, min_data_in_leaf=max(2, leaf // 2), num_leaves=63, feature_fraction_bynode=0.4, learning_rate=0.03,
                 bagging_fraction=0.8, lambda_l2=5.0),
        Candidate(RANDOM_TREES, {"trees": 60 if few else 100, "min_data_in_leaf": 1 if few else 5,
                                "feature_fraction_bynode": 0.6}, 1.5),
    ]  # fmt: skip
    if outputs > 2:
        listed[0] = _boosted(0.5, min_data_in_leaf=leaf, num_leaves=15 if small else 31, learning_rate=0.1,
                             feature_fraction_bynode=0.4)  # fmt: skip
    network = Candidate(NEURAL, {"units": 64, "alpha": 0.001, "learning_rate": 0.002}, 3.0)
    if outputs > 2:  # the more classes, the more trees a round takes; the others take hardly longer
        listed[1:1] = [listed.pop(3), network]
    else:
        listed.insert(4, network)
    kernels = [_kernel(task, 1.0, 0.01), _kernel(task, 1.0, 0.001) if outputs > 2 else _kernel(task, 0.3, 0.03)]
    linear_leaves = [] if absolute else [_linear_leaves(leaf, leaves) for leaves in (4, 8)]
    again = [listed[1], listed[3], listed[8], *linear_leaves[1:], kernels[0]] if skewed else []
    listed[6:6] = linear_leaves
    linear = next(place for place, each in enumerate(listed) if each.algorithm == LINEAR[task])
    listed[linear + 1 : linear + 1] = [*kernels, listed.pop()] if few else kernels  # random trees, as cheap there
    listed[3:3] = [replace(each, parameters={**each.parameters, "log_target": True}) for each in again]
    return [candidate for candidate in listed if candidate.algorithm in allowed]


def drawn(
    task: Task,
    rows: int,
    allowed: Sequence[str],
    draw: np.random.Generator,
    *,
    skewed: bool,
    absolute: bool,
    parents: Sequence[Candidate],
    steps: float = 1.0,
) -> Candidate:
    """One configuration from `draw`: half of the boosters near one of the `parents`, the best boosters so far (which kind
    of tree a table asks for shows early), all others anywhere, in larger `steps` (see `stepped`)."""
    import numpy as np

    if LIGHTGBM not in allowed:
        return _other(task, allowed, draw, skewed=skewed)
    if KERNEL[task] in allowed and draw.random() < 0.08:
        return _drawn_kernel(task, draw, skewed=skewed)
    if NEURAL in allowed and draw.random() < 0.12:
        return _network(draw)
    most_leaf = max(3, min(200, rows // 20))
    most_leaves = 128 if rows >= 5000 else 48
    if parents and draw.random() < 0.5:
        return _near(parents[int(draw.integers(len(parents)))], draw, most_leaves, most_leaf, skewed=skewed, absolute=absolute)
    logged: dict[str, object] = {"log_target": True} if skewed and draw.random() < 0.5 else {}
    linear = not absolute and draw.random() < 0.15
    leaves = int(np.exp(draw.uniform(np.log(4), np.log(16 if linear else most_leaves))))
    made = _boosted(
        1.0 + leaves / 40,
        num_leaves=leaves,
        learning_rate=round(float(np.exp(draw.uniform(np.log(0.02), np.log(0.12)))), 4),
        min_data_in_leaf=int(np.exp(draw.uniform(np.log(2), np.log(most_leaf)))),
        feature_fraction_bynode=round(float(draw.uniform(0.25, 1.0)), 2),
        bagging_fraction=round(float(draw.uniform(0.6, 1.0)), 2),
        lambda_l2=round(float(np.exp(draw.uniform(np.log(0.01), np.log(30)))), 3),
        extra_trees=bool(draw.random() < 0.2),
        linear_tree=linear,
        linear_lambda=round(float(np.exp(draw.uniform(np.log(0.1), np.log(30)))), 3),
        native_categories=bool(draw.random() < 0.25),
        max_bin=1023 if rows >= 10_000 and draw.random() < 0.5 else 255,
        **logged,
    )
    return stepped(made, steps)


def stepped(candidate: Candidate, steps: float) -> Candidate:
    """The candidate, in steps so many times as large where it is boosted: as good as done in a part of the rounds."""
    if candidate.algorithm != LIGHTGBM or steps <= 1.0:
        return candidate
    before = float(str(candidate.parameters["learning_rate"]))
    rate = max(before, round(min(_LARGEST_RATE, before * steps), 4))
    return replace(candidate, parameters={**candidate.parameters, "learning_rate": rate}, cost=candidate.cost * before / rate)


def _near(
    parent: Candidate, draw: np.random.Generator, most_leaves: int, most_leaf: int, *, skewed: bool, absolute: bool
) -> Candidate:
    """A booster like the parent, each parameter moved a little, a switch turned now and then."""
    import numpy as np

    def value(name: str) -> float:
        return float(str(parent.parameters[name]))

    def scaled(name: str, spread: float, low: float, high: float) -> float:
        return float(np.clip(value(name) * np.exp(draw.normal(0, spread)), low, high))

    def shifted(name: str, spread: float, low: float) -> float:
        return round(float(np.clip(value(name) + draw.normal(0, spread), low, 1.0)), 2)

    def turned(name: str) -> bool:
        return bool(parent.parameters.get(name)) != bool(draw.random() < 0.1)

    leaves = round(scaled("num_leaves", 0.35, 4, most_leaves))
    changes: dict[str, object] = {
        "num_leaves": leaves,
        "learning_rate": round(scaled("learning_rate", 0.3, 0.015, max(0.15, value("learning_rate"))), 4),
        "min_data_in_leaf": round(scaled("min_data_in_leaf", 0.5, 2, most_leaf)),
        "feature_fraction_bynode": shifted("feature_fraction_bynode", 0.12, 0.2),
        "bagging_fraction": shifted("bagging_fraction", 0.1, 0.5),
        "lambda_l2": round(scaled("lambda_l2", 0.8, 0.001, 30), 3),
        "extra_trees": turned("extra_trees"),
        "linear_tree": not absolute and turned("linear_tree"),
        "linear_lambda": round(scaled("linear_lambda", 0.8, 0.01, 100), 3),
        "native_categories": turned("native_categories"),
        "max_bin": parent.parameters["max_bin"],
    }
    if skewed and turned("log_target"):
        changes["log_target"] = True
    return _boosted(1.0 + leaves / 40, **changes)


def _network(draw: np.random.Generator) -> Candidate:
    import numpy as np

    parameters: dict[str, object] = {
        "units": int(draw.choice([32, 64, 128])),
        "alpha": round(float(np.exp(draw.uniform(np.log(1e-5), np.log(0.1)))), 6),
        "learning_rate": round(float(np.exp(draw.uniform(np.log(5e-4), np.log(5e-3)))), 5),
    }
    return Candidate(NEURAL, parameters, 3.0)


def _drawn_kernel(task: Task, draw: np.random.Generator, *, skewed: bool) -> Candidate:
    import numpy as np

    reach, alpha = np.exp(draw.uniform(np.log(0.15), np.log(2.5))), np.exp(draw.uniform(np.log(5e-4), np.log(0.3)))
    logged: dict[str, object] = {"log_target": True} if skewed and draw.random() < 0.5 else {}
    return _kernel(task, round(float(reach), 3), round(float(alpha), 5), **logged)


def _other(task: Task, allowed: Sequence[str], draw: np.random.Generator, *, skewed: bool) -> Candidate:
    import numpy as np

    forests = [name for name in FORESTS if name in allowed]
    alone = not forests and LINEAR[task] not in allowed and NEURAL not in allowed
    if KERNEL[task] in allowed and (alone or draw.random() < 0.3):
        return _drawn_kernel(task, draw, skewed=skewed)
    if NEURAL in allowed and (draw.random() < 0.4 or (not forests and LINEAR[task] not in allowed)):
        return _network(draw)
    if forests and (LINEAR[task] not in allowed or draw.random() < 0.7):
        parameters: dict[str, object] = {
            "trees": int(draw.integers(60, 160)),
            "min_data_in_leaf": int(draw.integers(1, 30)),
            "feature_fraction_bynode": round(float(draw.uniform(0.2, 1.0)), 2),
        }
        return Candidate(forests[int(draw.integers(len(forests)))], parameters, 2.0)
    return Candidate(LINEAR[task], {"alpha": round(float(np.exp(draw.uniform(np.log(0.01), np.log(100)))), 4)}, 0.5)
