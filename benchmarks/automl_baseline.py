"""Does a minute of `opsml train automl` beat LightGBM's defaults? Three stratified 80/20 splits, AUC on the same unseen rows.

    python benchmarks/automl_baseline.py [--data FILE] [--target y] [--seconds 60] [--splits 3] [--first 0] [--needed 0.0015]

Prints a table and exits 1 when the mean gain is below what is needed. The training is the engine itself, given the 80 %
only; LightGBM's defaults get the same rows with its own category handling. Run it on a quiet machine: the budget is time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from opsml_cli.domain.job import AutoMLSpec, Guardrail, Limits, TableSource, Trial
from opsml_cli.local.automl import metrics, scoring
from opsml_cli.local.automl.engine import train
from opsml_cli.local.automl.events import Tables

DATA = Path(__file__).resolve().parents[1] / "../shared/data/bank-marketing/bankmarketing_train.csv"


class Quiet:
    """Events that tell nobody."""

    def __init__(self) -> None:
        self.trials = 0

    def log(self, text: str) -> None: ...

    def phase(self, text: str) -> None: ...

    def guardrails(self, found: tuple[Guardrail, ...]) -> None: ...

    def trial(self, trial: Trial) -> None:
        self.trials += trial.rank is None

    def finished_trials(self) -> tuple[Trial, ...]:
        return ()

    def stop_requested(self) -> bool:
        return False


def split(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """80 % to learn from, 20 % unseen, with the classes' shares kept."""
    draw = np.random.default_rng(seed)
    unseen = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = draw.permutation(np.flatnonzero(labels == label))
        unseen[rows[: len(rows) // 5]] = True
    return np.flatnonzero(~unseen), np.flatnonzero(unseen)


def defaults(frame: pd.DataFrame, target: str, learn: np.ndarray, unseen: np.ndarray, positive: object) -> tuple[float, float]:
    """(AUC, seconds) of LightGBM's scikit-learn estimator with nothing set."""
    import lightgbm

    table = frame.drop(columns=[target])
    for name in table.columns:
        if not pd.api.types.is_numeric_dtype(table[name]):
            table[name] = table[name].astype("category")
    hits = (frame[target] == positive).to_numpy()
    started = time.perf_counter()
    model = lightgbm.LGBMClassifier(verbose=-1).fit(table.iloc[learn], hits[learn])
    seconds = time.perf_counter() - started
    return metrics.auc(hits[unseen], model.predict_proba(table.iloc[unseen])[:, 1]), seconds


def trained(
    frame: pd.DataFrame, target: str, learn: np.ndarray, unseen: np.ndarray, limits: Limits, seed: int
) -> tuple[float, float, int, str]:
    """(AUC, seconds, trials, what is served) of the engine."""
    events = Quiet()
    with tempfile.TemporaryDirectory() as folder:
        spec = AutoMLSpec(TableSource(path="benchmark"), target, limits=limits, seed=seed)
        started = time.perf_counter()
        outcome = train(spec, Tables(frame.iloc[learn].reset_index(drop=True)), Path(folder), events)
        seconds = time.perf_counter() - started
        model = scoring.load(str(Path(folder) / "outputs" / "model" / "data" / "data"))
        chances = model.probabilities(model.encode_frame(frame.iloc[unseen]))
        positive = model.positive_index if model.positive_index is not None else 1
        hits = (frame[target] == model.classes[positive]).to_numpy()[unseen]
    assert outcome.best is not None
    return metrics.auc(hits, chances[:, positive]), seconds, events.trials, outcome.best.algorithm


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--target", default="y")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--max-trials", type=int, default=None)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument(
        "--first", type=int, default=0, help="the first split's seed; settings were chosen while watching 0 to 2"
    )
    parser.add_argument("--needed", type=float, default=0.0015)
    options = parser.parse_args()
    if not options.data.exists():
        print(f"no file {options.data}: --data FILE", file=sys.stderr)
        return 2
    frame = pd.read_csv(options.data)
    labels = frame[options.target].to_numpy()
    positive = sorted(set(labels.tolist()))[-1]
    limits = Limits(timeout_seconds=options.seconds, max_trials=options.max_trials)
    print("split  defaults      opsml     gain  seconds  trials  served")
    gains, kept = [], True
    for seed in range(options.first, options.first + options.splits):
        learn, unseen = split(labels, seed)
        usual, _ = defaults(frame, options.target, learn, unseen, positive)
        ours, seconds, trials, served = trained(frame, options.target, learn, unseen, limits, seed)
        gains.append(ours - usual)
        kept = kept and seconds <= options.seconds * 1.1
        print(f"{seed:5}  {usual:.5f}    {ours:.5f}  {gains[-1]:+.5f}  {seconds:7.1f}  {trials:6}  {served}", flush=True)
    mean = float(np.mean(gains))
    verdict = "reached" if mean >= options.needed else "MISSED"
    print(f"mean gain {mean:+.5f}, needed {options.needed:+.5f}: {verdict}; budget {'kept' if kept else 'EXCEEDED'}")
    return 0 if mean >= options.needed and kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
