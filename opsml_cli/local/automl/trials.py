"""Running one trial, and keeping its result on disk so that a killed job goes on from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsml_cli.content import files
from opsml_cli.domain.job import Task
from opsml_cli.local import leftovers
from opsml_cli.local.automl import boosting, metrics, scoring
from opsml_cli.local.automl.model_folder import Part
from opsml_cli.local.automl.portfolio import FORESTS, KERNEL, LIGHTGBM, NEURAL, Candidate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.problem import Problem

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Result:
    """A finished trial. `answer` (scored rows, k) are its predictions for rows that its parts have not learned from;
    `rounds` the boosting rounds of each part; `part` holds weight 1."""

    trial: str
    candidate: Candidate
    part: Part
    answer: Floats
    rounds: tuple[int, ...]
    metrics: Mapping[str, float]
    seconds: float


def run(
    problem: Problem,
    binned: boosting.Binned,
    candidate: Candidate,
    watch: boosting.Watch,
    *,
    workers: int,
    rounds: tuple[int, ...] | None = None,
) -> tuple[Part, Floats, tuple[int, ...]]:
    """Fit the candidate on every fold: its part, its answers on the scored rows, its rounds. Raises boosting.StoppedError."""
    import numpy as np

    if candidate.parameters.get("log_target"):
        return _logged(problem, binned, candidate, watch, workers=workers, rounds=rounds)
    answer = np.zeros((len(problem.target), problem.outputs))
    if candidate.algorithm == LIGHTGBM:
        fitted = boosting.fit_bag(problem, binned, candidate.parameters, watch, workers=workers, rounds=rounds)
        link = "positive" if problem.binary else "none"
        for fold, part in zip(problem.folds, fitted, strict=True):
            answer[fold.valid] = scoring.linked(part.raw.reshape(len(fold.valid), -1), link)
        outputs = 1 if problem.binary or problem.task is Task.REGRESSION else problem.outputs
        made = Part(candidate.algorithm, 1.0, link, outputs, [part.text for part in fitted])
        return made, answer[problem.scored], tuple(part.rounds for part in fitted)
    if candidate.algorithm in FORESTS:
        from opsml_cli.local.automl import forest

        return forest.run(problem, binned, candidate, watch, workers)
    from opsml_cli.local.automl import kernel, linear, neural

    if candidate.algorithm == NEURAL:
        return neural.run(problem, candidate.parameters, watch, candidate.algorithm, workers=workers, rounds=rounds)
    if candidate.algorithm in KERNEL.values():
        return kernel.run(problem, candidate.parameters, watch, candidate.algorithm, workers)
    return linear.run(problem, candidate.parameters, watch, candidate.algorithm, workers)


def _logged(
    problem: Problem,
    binned: boosting.Binned,
    candidate: Candidate,
    watch: boosting.Watch,
    *,
    workers: int,
    rounds: tuple[int, ...] | None,
) -> tuple[Part, Floats, tuple[int, ...]]:
    """As `run`, learning the logarithm of a target that is not negative: errors then count by their ratio."""
    import numpy as np

    inner = replace(problem, target=np.log1p(problem.target.astype(np.float64)))
    plain = replace(candidate, parameters={key: each for key, each in candidate.parameters.items() if key != "log_target"})
    part, answer, done = run(inner, binned.of_target(inner), plain, watch, workers=workers, rounds=rounds)
    return replace(part, link="exp"), scoring.linked(answer, "exp"), done


def measure(problem: Problem, answer: Floats) -> dict[str, float]:
    """Every metric of the task on the scored rows."""
    import numpy as np

    truth = problem.target[problem.scored]
    if problem.task is Task.REGRESSION:
        return metrics.regression(truth.astype(np.float64), answer[:, 0], problem.span)
    return metrics.classification(truth.astype(np.int64), answer, positive=problem.positive)


def keep(folder: Path, result: Result, fingerprint: str) -> None:
    """Write the result durably as `folder/<trial>`; a half-written one is never seen."""
    import numpy as np

    place = folder / result.trial
    if place.exists():
        shutil.rmtree(place)
    with files.new_folder(place) as made:
        for index, text in enumerate(result.part.boosters):
            (made / f"part{index}.txt").write_text(text, encoding="utf-8")
        for index, arrays in enumerate(result.part.linear):
            np.savez(made / f"part{index}.npz", allow_pickle=False, **arrays)
        np.save(made / "answer.npy", result.answer, allow_pickle=False)
        document = {
            "fingerprint": fingerprint,
            "trial": result.trial,
            "algorithm": result.candidate.algorithm,
            "parameters": dict(result.candidate.parameters),
            "cost": result.candidate.cost,
            "link": result.part.link,
            "outputs": result.part.outputs,
            "boosters": len(result.part.boosters),
            "linear": len(result.part.linear),
            "rounds": list(result.rounds),
            "metrics": dict(result.metrics),
            "seconds": result.seconds,
        }
        (made / "trial.json").write_text(json.dumps(document, indent=1), encoding="utf-8")


def recover(folder: Path, fingerprint: str) -> list[Result]:
    """The trials that an earlier process finished on the same data and spec, in order."""
    leftovers.sweep(folder)
    found = []
    for place in sorted(folder.iterdir(), key=lambda path: (len(path.name), path.name)) if folder.is_dir() else []:
        result = _read(place, fingerprint)
        if result is not None:
            found.append(result)
    return found


def _read(place: Path, fingerprint: str) -> Result | None:
    import numpy as np

    try:
        document: dict[str, Any] = json.loads((place / "trial.json").read_text(encoding="utf-8"))
        if document["fingerprint"] != fingerprint:
            return None
        boosters = [(place / f"part{index}.txt").read_text(encoding="utf-8") for index in range(document["boosters"])]
        linear = []
        for index in range(document["linear"]):
            with np.load(place / f"part{index}.npz", allow_pickle=False) as arrays:
                linear.append({key: arrays[key] for key in arrays.files})
        answer = np.load(place / "answer.npy", allow_pickle=False)
    except (OSError, ValueError, KeyError):
        return None
    part = Part(document["algorithm"], 1.0, document["link"], document["outputs"], boosters, linear)
    candidate = Candidate(document["algorithm"], document["parameters"], document["cost"])
    return Result(
        document["trial"], candidate, part, answer, tuple(document["rounds"]), document["metrics"], document["seconds"]
    )


def answer_of(part: Part, matrix: Floats) -> Floats:
    """The part's own answer (rows, k) for an encoded matrix: the mean of its boosters, linked."""
    import numpy as np

    total = None
    matrix = np.ascontiguousarray(matrix)
    for text in part.boosters:
        booster = scoring.Booster(text, part.outputs, matrix.shape[1])
        try:
            found = booster.matrix(matrix)
        finally:
            booster.close()
        total = found if total is None else total + found
    if total is not None:
        return scoring.linked(total / len(part.boosters), part.link)
    for arrays in part.linear:
        found = scoring.linked(scoring.dense(arrays).scores(matrix), part.link)
        total = found if total is None else total + found
    assert total is not None
    return total / len(part.linear)


def blended(parts: Sequence[Part], matrix: Floats) -> Floats:
    """The weighted answer (rows, k) of all parts."""
    total = answer_of(parts[0], matrix) * parts[0].weight
    for part in parts[1:]:
        total = total + answer_of(part, matrix) * part.weight
    return total
