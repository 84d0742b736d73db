"""Random forests and extremely randomized trees, all LightGBM models so that they are served like every other booster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.domain.job import Task
from opsml_cli.local.automl import boosting, random_trees, scoring
from opsml_cli.local.automl.model_folder import Part
from opsml_cli.local.automl.portfolio import RANDOM_TREES, Candidate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.problem import Problem

    Floats = NDArray[np.float64]


def run(
    problem: Problem, binned: boosting.Binned, candidate: Candidate, watch: boosting.Watch, workers: int
) -> tuple[Part, Floats, tuple[int, ...]]:
    """One forest a fold. Two classes and values are the mean of the leaves, as are more classes where the table is small;
    elsewhere these are averaged scores."""
    import numpy as np

    single = candidate.algorithm == RANDOM_TREES and random_trees.fitting(problem)
    if single:
        fitted = random_trees.fit_bag(problem, candidate.parameters, watch, workers=workers)
    else:
        fitted = _by_histograms(problem, binned, candidate, watch, workers)
    votes = problem.binary or problem.task is Task.REGRESSION
    link = "share" if problem.binary or (single and not votes) else "none"
    answer = np.zeros((len(problem.target), problem.outputs))
    for fold, part in zip(problem.folds, fitted, strict=True):
        answer[fold.valid] = scoring.linked(part.raw.reshape(len(fold.valid), -1), link)
    outputs = 1 if votes else problem.outputs
    rounds = tuple(part.rounds for part in fitted)
    return Part(candidate.algorithm, 1.0, link, outputs, [part.text for part in fitted]), answer[problem.scored], rounds


def _by_histograms(
    problem: Problem, binned: boosting.Binned, candidate: Candidate, watch: boosting.Watch, workers: int
) -> list[boosting.Fitted]:
    """Grown by LightGBM."""
    parameters = candidate.parameters
    extreme = candidate.algorithm == RANDOM_TREES
    grown = {
        "boosting": "rf",
        "extra_trees": extreme,
        "bagging_fraction": 0.8 if extreme else 0.63,
        "num_leaves": 255,
        "lambda_l2": 0.0,
        "min_data_in_leaf": parameters["min_data_in_leaf"],
        "feature_fraction_bynode": parameters["feature_fraction_bynode"],
    }
    if problem.binary or problem.task is Task.REGRESSION:
        grown.update({"objective": "regression", "metric": "l2"})
    rounds = [int(str(parameters["trees"]))] * len(problem.folds)
    return boosting.fit_bag(problem, binned, grown, watch, workers=workers, rounds=rounds)
