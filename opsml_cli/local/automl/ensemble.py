"""Greedy ensembles (Caruana et al.) on out-of-fold predictions, and the honest choice of what is served."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsml_cli.local.automl import metrics

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from opsml_cli.local.automl.problem import Problem

    Floats = NDArray[np.float64]

_STEPS = 25
_MOST_MEMBERS = 8
_MOST_CELLS = 160_000  # of the predictions that the search looks at
_CONFIDENCE = 0.8416  # one-sided 80 %: a larger model that is probably better is worth its microseconds, ...
_LITTLE = 0.3  # of what a served model may cost
TOO_MUCH = 1.1  # times the best member's loss: so much is not given up for a small model
_WORTHWHILE = 0.005  # ... if its loss is smaller by this share: less did not carry over to unseen rows (bank marketing)


_FEW = 20_000


def few_to_tell(problem: Problem) -> bool:
    """Whether the scored rows are too few to tell a good ensemble from its best member: chance is larger than the gain."""
    return len(problem.scored) < _FEW


@dataclass(frozen=True, slots=True)
class Blend:
    """Weights by position in the list of results (they sum to 1), and the loss of the whole on the rows it was chosen on."""

    weights: dict[int, float]
    loss: float


class Judge:
    """Compares predictions for the scored rows of a problem by its metric; less is better."""

    def __init__(self, problem: Problem) -> None:
        import numpy as np

        scored = problem.scored
        self._problem = problem
        self._rows: NDArray[np.int64] | None = None
        most = max(2000, _MOST_CELLS // max(1, problem.outputs))
        if len(scored) > most:
            draw = np.random.default_rng([problem.seed, 15485863])
            self._rows = np.sort(draw.choice(len(scored), most, replace=False))
        truth = problem.target[scored]
        self._all_truth = truth
        self._truth = truth if self._rows is None else truth[self._rows]

    def part(self, answer: Floats) -> Floats:
        """The rows of `answer` that are looked at."""
        return answer if self._rows is None else answer[self._rows]

    def loss(self, answer: Floats) -> float:
        problem = self._problem
        value = metrics.one(problem.metric, self._truth, answer, problem.span, problem.positive)
        return math.inf if math.isnan(value) else value

    def better(self, first: Floats, second: Floats) -> bool:
        """Whether `first` beats `second` on the same rows, by enough to matter and beyond chance: paired, one-sided, 80 %."""
        import numpy as np

        problem = self._problem
        loss = self.loss(second)
        gain = loss - self.loss(first)
        if not gain > _WORTHWHILE * loss:
            return False
        truth = self._truth
        if problem.metric in ("AUC_weighted", "AUC_macro", "AUC_binary") and problem.binary:
            spread = _delong(truth == 1, first[:, 1], second[:, 1])
        elif problem.outputs > 1 and problem.metric in ("log_loss", "accuracy"):
            rows = np.arange(len(truth))
            labels = truth.astype(np.int64)
            if problem.metric == "log_loss":
                each = np.log(np.clip(first[rows, labels], 1e-15, 1)) - np.log(np.clip(second[rows, labels], 1e-15, 1))
            else:
                each = (first.argmax(axis=1) == labels).astype(float) - (second.argmax(axis=1) == labels).astype(float)
            spread = float(each.std() / math.sqrt(len(each)))
        else:
            spread = self._resampled(first, second)
        return gain > _CONFIDENCE * spread

    def _resampled(self, first: Floats, second: Floats) -> float:
        import numpy as np

        problem = self._problem
        draw = np.random.default_rng([problem.seed, 32452843])
        most = min(len(self._truth), 20_000)
        gains = []
        for _ in range(40):
            rows = draw.integers(0, len(self._truth), most)
            pair = [
                metrics.one(problem.metric, self._truth[rows], part[rows], problem.span, problem.positive)
                for part in (first, second)
            ]
            gains.append(pair[1] - pair[0])
        finite = [gain for gain in gains if math.isfinite(gain)]
        return float(np.std(finite)) * math.sqrt(most / len(self._truth)) if finite else math.inf


def _delong(positive: NDArray[np.bool_], first: Floats, second: Floats) -> float:
    """The standard deviation of the difference of two AUCs on the same rows (DeLong et al.)."""

    hits, misses = int(positive.sum()), int((~positive).sum())
    if hits < 2 or misses < 2:
        return math.inf

    def placements(score: Floats) -> tuple[Floats, Floats]:
        whole = metrics.ranks(score)
        above = (whole[positive] - metrics.ranks(score[positive])) / misses
        below = 1 - (whole[~positive] - metrics.ranks(score[~positive])) / hits
        return above, below

    one, two = placements(first), placements(second)
    return math.sqrt(float((one[0] - two[0]).var() / hits + (one[1] - two[1]).var() / misses))


def greedy(
    judge: Judge,
    answers: Sequence[Floats],
    allowed: Sequence[int],
    due: Callable[[], bool],
    *,
    cost: Callable[[int], float] = lambda _: 0.0,
    limit: float = 1.0,
) -> Blend:
    """Add the member that helps most, with repetition, until nothing helps; the best prefix wins. The members' costs
    together stay within `limit`, but for a first one that is over it alone."""
    parts = {index: judge.part(answers[index]) for index in allowed}
    losses = {index: judge.loss(parts[index]) for index in allowed}
    first = min(allowed, key=lambda index: (cost(index) > limit, losses[index], index))
    # Members far worse than the best never enter; leaving them out saves most of the time.
    pool = sorted(allowed, key=lambda index: (losses[index], index))[:20]
    chosen = [first]
    total = parts[first].copy()
    best, best_size = losses[first], 1
    for step in range(2, _STEPS + 1):
        left = limit - sum(cost(index) for index in set(chosen))
        tried = [(judge.loss((total + parts[index]) / step), index) for index in pool if index in chosen or cost(index) <= left]
        if not tried:
            break
        loss, index = min(tried)
        if not math.isfinite(loss) or (len({*chosen, index}) > _MOST_MEMBERS):
            break
        chosen.append(index)
        total += parts[index]
        if loss < best - 1e-9:
            best, best_size = loss, step
        elif step - best_size >= 5 or due():
            break
    kept = chosen[:best_size]
    return Blend({index: kept.count(index) / best_size for index in sorted(set(kept))}, best)


def mix(answers: Sequence[Floats], blend: Blend) -> Floats:
    """The blend's own predictions."""
    total: Floats | None = None
    for index, weight in blend.weights.items():
        part = answers[index] * weight
        total = part if total is None else total + part
    assert total is not None
    return total


def served(
    judge: Judge, answers: Sequence[Floats], full: Blend, cost: Callable[[int], float], limit: float, *, few: bool
) -> Blend:
    """The smallest form that the best one does not clearly beat; where the rows are too `few` to tell, the best one, as
    ensembles mostly are better. Forms whose cost is over `limit` only when there is no other, or the best member, with what
    costs little beside it, when all others are much worse. `cost(index)` of a member, in the unit of `limit`."""
    ranked = sorted(full.weights, key=lambda index: (-full.weights[index], index))
    losses = {index: judge.loss(judge.part(answers[index])) for index in range(len(answers))}
    best = min(losses, key=lambda index: (losses[index], index))
    forms = [Blend({best: 1.0}, losses[best])]
    forms += [greedy(judge, answers, ranked[:size], lambda: False) for size in range(2, len(ranked))]
    forms.append(full)
    forms.append(greedy(judge, answers, range(len(answers)), lambda: False, cost=cost, limit=limit))
    affordable = [form for form in forms if sum(cost(index) for index in form.weights) <= limit] or forms[:1]
    top = min(affordable, key=lambda form: form.loss)
    if top.loss > TOO_MUCH * forms[0].loss:
        # It is served although it costs too much; what costs little beside it may help.
        def added(index: int) -> float:
            return 0.0 if index == best else cost(index)

        top = greedy(judge, answers, range(len(answers)), lambda: False, cost=added, limit=_LITTLE * limit)
        affordable = [forms[0], top]
    if few:
        return top
    reference = judge.part(mix(answers, top))
    for form in affordable:
        if form is top or not judge.better(reference, judge.part(mix(answers, form))):
            return form
    return top
