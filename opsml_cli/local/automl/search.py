"""The search: the portfolio, then drawn configurations, for as long as the budget lasts."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.errors import WorkFailedError
from opsml_cli.domain.job import JobState, Limits, Trial
from opsml_cli.domain.metric_names import higher_is_better
from opsml_cli.local.automl import boosting, ensemble, kernel, linear, neural, portfolio, refit, scale, serving_cost, trials
from opsml_cli.local.automl.portfolio import Candidate
from opsml_cli.local.automl.trials import Result

if TYPE_CHECKING:
    from opsml_cli.local.automl.events import Events
    from opsml_cli.local.automl.problem import Problem

_LAG = 8  # trials: what a new one is drawn near was begun so long before it
_PARENTS = 3
_SLACK = 1.1  # a trial is expected to take this much longer than its like did
_KERNEL_SHARE = 0.15  # of the time, for one trial: a kernel model that is not ready in time is nothing
_FINISH = 1.5  # seconds after the last fit, whatever the model
_ENOUGH = 0.7  # boosting that has this share of its expected time is worth it: the last rounds gain the least


@dataclass(slots=True)
class Clock:
    """The budget. All in seconds on the monotonic clock; `finish` is what the work after the last fit takes."""

    started: float
    total: float
    finish: float

    def __post_init__(self) -> None:
        self.finish = min(self.finish, 0.4 * self.total)

    @property
    def end(self) -> float:
        """When the last fit must be done."""
        return self.started + self.total - self.finish

    def ends_before(self, seconds: float) -> float:
        """When the last fit must be done where answering with the model and writing it take `seconds`."""
        return min(self.end, self.started + self.total - min(_FINISH + seconds, 0.4 * self.total))

    def expect(self, seconds: float) -> None:
        """From now on it is known that answering with the model and writing it take `seconds`."""
        self.finish = self.started + self.total - self.ends_before(seconds)

    def spend(self, seconds: float) -> None:
        """Count work of an earlier process; enough is left for finishing."""
        self.started -= max(0.0, min(seconds, 0.9 * self.total - self.finish))

    def left(self) -> float:
        return self.end - time.monotonic()


@dataclass(frozen=True, slots=True)
class Plan:
    """What the search may do, and where its trials are kept."""

    limits: Limits
    algorithms: Sequence[str]
    clock: Clock
    folder: Path
    fingerprint: str
    grown: float  # how many rows a refit learns from, for each row of the search
    encoding: float  # seconds that a refit takes before it fits anything
    answered: int = 0  # rows that the served model answers after the search, for its figures


class Search:
    """Runs trials and collects their results, in the order of their numbers."""

    def __init__(self, problem: Problem, plan: Plan, events: Events) -> None:
        self._problem = problem
        self._plan = plan
        self._events = events
        self._binned = boosting.Binned(problem)
        self._lock = threading.Lock()
        self._running: dict[int, Future[None]] = {}
        self._few = ensemble.few_to_tell(problem)
        self._costs: dict[str, tuple[float, float]] = {}
        self._looked_at = 0  # results, when `members` was last told
        self.members: list[Result] = []
        self.results: list[Result] = []
        self.stopped = False
        self.unfinished: list[Trial] = []

    def run(self) -> list[Result]:
        """Every finished trial. WorkFailedError when none could be finished."""
        recovered = trials.recover(self._plan.folder, self._plan.fingerprint)
        told = {trial.trial for trial in self._events.finished_trials()}
        for result in recovered:
            if result.trial not in told:
                self._events.trial(as_trial(result))
        self.results = recovered
        if recovered:
            self._events.log(f"{len(recovered)} trials of an earlier process are used again")
            abreast = max(1, min(self._plan.limits.max_concurrent_trials, boosting.cores()))
            self._plan.clock.spend(sum(result.seconds for result in recovered) / abreast)
        self._loop()
        self.results.sort(key=lambda result: int(result.trial))
        if not self.results and not self.stopped:
            cause = (self.unfinished[-1].detail if self.unfinished else None) or "the time was too short for a single trial"
            raise WorkFailedError(
                "no trial could be finished", cause=cause, fix="--timeout with more time, or fewer columns or rows"
            )
        return self.results

    def _loop(self) -> None:
        limits = self._plan.limits
        most = limits.max_trials if limits.max_trials is not None else math.inf
        abreast = max(1, min(limits.max_concurrent_trials, boosting.cores()))
        workers = max(1, boosting.cores() // abreast)
        done = {result.trial for result in self.results}
        queue = ((str(number), candidate) for number, candidate in enumerate(self._candidates()))
        pending: set[Future[None]] = set()
        with ThreadPoolExecutor(max_workers=abreast) as pool:
            for name, candidate in queue:
                if int(name) >= most:
                    break
                if name in done:
                    continue
                alone = bool(candidate.parameters.get("linear_tree"))  # see boosting.fit_bag
                while pending and (alone or len(pending) >= abreast):
                    pending = wait(pending, return_when=FIRST_COMPLETED).not_done
                if self._enough():
                    break
                if not self._fits(candidate) and not (self.told_members() and self._fits(candidate)):
                    if self._hopeless():
                        break
                    continue
                future = self._running[int(name)] = pool.submit(self._trial, name, candidate, workers)
                pending.add(future)
                if alone:
                    future.result()
            for future in pending:
                future.result()

    def _candidates(self) -> Iterator[Candidate]:
        import numpy as np

        problem, rows = self._problem, len(self._problem.target)
        unfit = {
            portfolio.LINEAR[problem.task]: linear.too_large(problem),
            portfolio.NEURAL: neural.unfit(problem),
            portfolio.KERNEL[problem.task]: kernel.unfit(problem),
        }
        usable = [name for name in self._plan.algorithms if not unfit.get(name)]
        if kernel.seconds(problem) > _KERNEL_SHARE * self._plan.clock.total:
            usable = [name for name in usable if name not in portfolio.KERNEL.values()] or usable
        if not usable:
            wanted = Candidate(self._plan.algorithms[0])
            reason = "the table is too large for a model of this kind"
            self.unfinished.append(_empty("0", wanted, JobState.FAILED, 0.0, reason))
            return
        skewed, absolute = problem.skewed, problem.absolute
        first = portfolio.portfolio(problem.task, rows, usable, skewed=skewed, outputs=problem.outputs, absolute=absolute)
        steps = scale.steps(problem, self._plan.clock.total)
        yield from (portfolio.stepped(each, steps) for each in first)
        for number in itertools.count(len(first)):
            draw = np.random.default_rng([problem.seed, 7919, number])
            parents = self._parents(number)
            yield portfolio.drawn(
                problem.task, rows, usable, draw, skewed=skewed, absolute=absolute, parents=parents, steps=steps
            )

    def _parents(self, number: int) -> list[Candidate]:
        """The best boosters that trial `number` may be drawn near: of the trials long enough before it that they are done
        whatever runs beside them, so that the same seed draws the same."""
        last = number - max(_LAG, min(self._plan.limits.max_concurrent_trials, boosting.cores()))
        for earlier in [each for each in self._running if each <= last]:
            self._running.pop(earlier).result()
        with self._lock:
            known = [each for each in self.results if int(each.trial) <= last]
        boosted = [each for each in known if each.candidate.algorithm == portfolio.LIGHTGBM]
        finite = [each for each in boosted if math.isfinite(self._loss(each))]
        return [each.candidate for each in sorted(finite, key=lambda each: (self._loss(each), int(each.trial)))[:_PARENTS]]

    def _enough(self) -> bool:
        if self._events.stop_requested():
            self.stopped = True
            return True
        wanted = self._plan.limits.exit_score
        if wanted is None or not self.results:
            return False
        metric = self._problem.metric
        with self._lock:
            reached = [result.metrics[metric] for result in self.results if metric in result.metrics]
        if any(value >= wanted if higher_is_better(metric) else value <= wanted for value in reached):
            self._events.log(f"exit score {wanted:g} reached")
            return True
        return False

    def _pace(self, algorithm: str) -> float | None:
        """Seconds for a unit of cost, from the trials so far; those of the same algorithm tell most."""
        with self._lock:
            paces = [r.seconds / r.candidate.cost for r in self.results if r.candidate.algorithm == algorithm]
            others = [(r.seconds / r.candidate.cost, r.candidate.algorithm) for r in self.results]
        if not paces:
            # A round of trees is a tree for each of three classes and more; nothing else takes that much longer for them.
            trees = self._problem.outputs if self._problem.outputs > 2 else 1
            own = trees if portfolio.of_trees(algorithm) else 1
            paces = [pace * own / (trees if portfolio.of_trees(other) else 1) for pace, other in others]
        return sorted(paces)[len(paces) // 2] if paces else None

    def _fits(self, candidate: Candidate) -> bool:
        pace = self._pace(candidate.algorithm)
        if pace is None:
            return True
        needed = _ENOUGH if self._useful_when_cut(candidate) else _SLACK
        return time.monotonic() + pace * candidate.cost * needed < self.deadline()

    def told_members(self) -> bool:
        """Look which results would be served by now: time is then kept for their refit alone, and not for more than these.
        Whether there was anything new to look at. Few rows are looked at in a moment; of many, one result is mostly served."""
        with self._lock:
            results = list(self.results)
        if not self._few or len(results) == self._looked_at:
            return False
        self._looked_at = len(results)
        judge = ensemble.Judge(self._problem)
        answers = [result.answer for result in results]
        shares = [self._cost(result)[0] for result in results]
        full = ensemble.greedy(judge, answers, range(len(results)), lambda: False)
        form = ensemble.served(judge, answers, full, lambda index: shares[index], 1.0, few=True)
        with self._lock:
            self.members = [results[index] for index in form.weights]
        return True

    def _hopeless(self) -> bool:
        """Whether not even the cheapest kind of trial would end in time."""
        with self._lock:
            fastest = min((result.seconds for result in self.results), default=0.0)
        return time.monotonic() + fastest * _ENOUGH >= self.deadline()

    def _useful_when_cut(self, candidate: Candidate) -> bool:
        """Whether a trial that the deadline ends is kept as far as it came: its figures are of rows it has not seen."""
        task = self._problem.task
        return candidate.algorithm not in (portfolio.LINEAR[task], portfolio.KERNEL[task])

    def deadline(self) -> float:
        """When trials must be done, so that the members of the final model can be fitted once more on all rows."""
        clock = self._plan.clock
        with self._lock:
            ranked, results = self.members, sorted(self.results, key=self._loss)
        ranked = ranked or self._servable(results)[: 5 if self._few else 3]
        if not ranked:
            # Of what is left, not of the whole: on a busy machine preparing may have taken long. Where one part validates, the
            # table is large for the time: one trial that comes far is worth more than two.
            return time.monotonic() + (0.85 if len(self._problem.folds) == 1 else 0.5) * clock.left()
        grown, most = self._plan.grown, 0.3 * clock.total
        looked_at = ranked if self._few else ranked[:1]
        end = clock.ends_before(sum(self._cost(result)[1] for result in looked_at))
        # What no time would be enough for is not waited for: of few rows the others are fitted again without it, or nothing is.
        able = [r for r in looked_at if refit.least(r, grown) + self._plan.encoding <= most]
        if not able or self._much_worse(min(map(self._lost, able)), min(map(self._lost, looked_at))):
            return end
        ranked = able if self._few else ranked
        each = [refit.seconds(result, grown) for result in ranked]
        # On many rows one model is served more often than three: half of the others' time is a fair bet.
        reserve = sum(each) if self._few else each[0] + 0.5 * sum(each[1:])
        return end - min(most, _SLACK * reserve + self._plan.encoding + (0.2 if not self.members else 1.0))

    def _servable(self, ranked: list[Result]) -> list[Result]:
        """Of results, the best first, those that may be served: not what is too large, unless all others are much worse."""
        small = [result for result in ranked if self._cost(result)[0] <= 1.0]
        return ranked if not small or self._much_worse(self._lost(small[0]), self._lost(ranked[0])) else small

    @staticmethod
    def _much_worse(lost: float, least: float) -> bool:
        """So much worse that nobody would serve the smaller one for its size, or for having been fitted again."""
        return lost > ensemble.TOO_MUCH * least

    def _lost(self, result: Result) -> float:
        value = result.metrics.get(self._problem.metric, math.nan)
        return 1.0 - value if higher_is_better(self._problem.metric) else value

    def _cost(self, result: Result) -> tuple[float, float]:
        """(share, seconds) of serving_cost; told once, as texts of many megabytes take a while to look through."""
        if result.trial not in self._costs:
            seconds = serving_cost.seconds(result.part, self._plan.answered)
            self._costs[result.trial] = (serving_cost.share(result, few=self._few), seconds)
        return self._costs[result.trial]

    def _loss(self, result: Result) -> float:
        value = result.metrics.get(self._problem.metric, math.nan)
        if math.isnan(value):
            return math.inf
        return -value if higher_is_better(self._problem.metric) else value

    def _trial(self, name: str, candidate: Candidate, workers: int) -> None:
        started = time.monotonic()
        limits = self._plan.limits
        deadline = self.deadline()
        keep = not self.results or self._useful_when_cut(candidate)
        if limits.trial_timeout_seconds is not None and started + limits.trial_timeout_seconds < deadline:
            deadline, keep = started + limits.trial_timeout_seconds, True
        watch = boosting.Watch(deadline, keep, self._events.stop_requested)
        try:
            part, answer, rounds = trials.run(self._problem, self._binned, candidate, watch, workers=workers)
        except boosting.StoppedError:
            self._unfinished(name, candidate, time.monotonic() - started)
            return
        except boosting.lightgbm().basic.LightGBMError as error:
            self._failed(name, candidate, time.monotonic() - started, str(error))
            return
        found = trials.measure(self._problem, answer)
        result = Result(name, candidate, part, answer, rounds, found, time.monotonic() - started)
        trials.keep(self._plan.folder, result, self._plan.fingerprint)
        with self._lock:
            self._events.trial(as_trial(result))
            self.results.append(result)

    def _unfinished(self, name: str, candidate: Candidate, seconds: float) -> None:
        reason = "the job was asked to end" if self._events.stop_requested() else "the time was up"
        self._tell(_empty(name, candidate, JobState.CANCELED, seconds, reason))

    def _failed(self, name: str, candidate: Candidate, seconds: float, reason: str) -> None:
        self._tell(_empty(name, candidate, JobState.FAILED, seconds, reason))

    def _tell(self, trial: Trial) -> None:
        with self._lock:
            self.unfinished.append(trial)
            self._events.trial(trial)


def as_trial(result: Result, rank: int | None = None) -> Trial:
    """The result as the job records it."""
    return Trial(
        result.trial,
        result.candidate.algorithm,
        JobState.COMPLETED,
        dict(result.metrics),
        round(result.seconds, 3),
        dict(result.candidate.parameters),
        rank,
    )


def _empty(name: str, candidate: Candidate, state: JobState, seconds: float, detail: str) -> Trial:
    return Trial(name, candidate.algorithm, state, {}, round(seconds, 3), dict(candidate.parameters), None, detail)
