"""`opsml train automl` beside other AutoML tools: the same rows, the same budget, one at a time, on data none has seen.

    python benchmarks/automl.py [--set bank|tables|packaged|large|served|leakage|budget] [--engines opsml,autogluon-best,…]
                                [--seconds 60] [--seeds 0,1,2] [--ours opsml] [--work DIR] [--report] [--data DIR]

Each tool gets a virtual environment of its own below DIR (made on first use; the whole is some gigabytes), each finished
result is a file there, and a run that was ended goes on where it was. `--report` only prints what is there. Everything takes
hours: run it on a quiet machine, for the budget is time. H2O needs a Java.

bank: bank marketing, AUC, differences by a bootstrap over groups of identical rows, all seeds together.
tables: the data sets of DIR/tabular and those that scikit-learn ships, paired splits, mean rank, and a t-test corrected for
resampling (Nadeau and Bengio).
packaged: thirty-two more data sets, which two packages carry (automl_packaged.py), otherwise as tables.
large: tables that are made up, of 100,000 rows and of a million, otherwise as tables.
served, leakage, budget: opsml alone; exit 1 when the served model of bank marketing is larger or slower than promised, when the
leaking column is not told with both figures, or when a training of a hundred rows, of bank marketing or of a million rows takes
longer than a tenth more than it was given.
AutoGluon is installed without its neural networks (PyTorch alone is larger than all the rest).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from automl_checks import budget, leakage, served
from automl_data import DataSet, bank, made_up, split, tables
from automl_packaged import packaged
from automl_statistics import bootstrap, corrected, loss, ranks, shown_metric

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data"
# Name: (script below peers/, requirements of its environment, words for the script)
ENGINES: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "opsml": ("opsml.py", (), ()),
    "opsml-ensemble": ("opsml.py", (), ("--serve", "ensemble")),  # the full ensemble beside the served form
    "opsml-10s": ("opsml.py", (), ("--timeout", "10s")),  # whatever budget the others have
    "lightgbm": ("lightgbm_defaults.py", ("lightgbm==4.6.0", "pandas<3", "scikit-learn<1.8"), ()),
    "autogluon-best": ("autogluon.py", ("autogluon.tabular[lightgbm,catboost,xgboost]==1.6.3",), ("best",)),
    "autogluon-high": ("autogluon.py", ("autogluon.tabular[lightgbm,catboost,xgboost]==1.6.3",), ("high",)),
    "autogluon-medium": ("autogluon.py", ("autogluon.tabular[lightgbm,catboost,xgboost]==1.6.3",), ("medium",)),
    "flaml": ("flaml.py", ("flaml[automl]==2.7.0",), ("single",)),
    "flaml-ensemble": ("flaml.py", ("flaml[automl]==2.7.0",), ("ensemble",)),
    "h2o": ("h2o.py", ("h2o==3.46.0.12", "pandas<3"), ()),
    "mljar": ("mljar.py", ("mljar-supervised==1.3.2",), ()),
}


def environment(engine: str, work: Path) -> Path:
    """The Python of the engine's own environment, made where it is missing."""
    script, requirements, _ = ENGINES[engine]
    if not requirements:
        return Path(sys.executable)
    folder = work / "venvs" / script.removesuffix(".py")
    python = folder / "bin" / "python"
    done = folder / "requirements.txt"
    wanted = "\n".join(requirements)
    if not (done.exists() and done.read_text() == wanted):
        print(f"making the environment of {engine}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *requirements], check=True)
        done.write_text(wanted)
    return python


def one(engine: str, data: DataSet, seconds: float, seed: int, work: Path) -> dict[str, object] | None:
    """The finished result, from its file or made now; None when the engine failed."""
    place = work / "results" / f"{data.name}-{engine}-{seconds:g}s-{seed}.json"
    if place.exists():
        return json.loads(place.read_text())
    python = environment(engine, work)
    folder = work / "splits" / f"{data.name}-{seed}"
    learn, unseen = split(data, seed)
    if not (folder / "test.csv").exists():
        folder.mkdir(parents=True, exist_ok=True)
        data.frame.iloc[learn].to_csv(folder / "train.csv", index=False)
        data.frame.iloc[unseen].drop(columns=[data.target]).to_csv(folder / "test.csv", index=False)
    script, _, words = ENGINES[engine]
    answer = work / "answer.json"
    answer.unlink(missing_ok=True)
    command = [
        str(python),
        str(HERE / "peers" / script),
        str(folder),
        data.target,
        data.task,
        f"{seconds:g}",
        str(seed),
        str(answer),
        *words,
    ]
    started = time.perf_counter()
    with (work / f"{engine}.log").open("ab") as log:
        try:
            subprocess.run(command, stdout=log, stderr=log, check=True, timeout=seconds * 4 + 600, cwd=folder)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            print(f"{data.name} {engine} seed {seed}: {type(error).__name__}; see {work / f'{engine}.log'}", file=sys.stderr)
            return None
    found = json.loads(answer.read_text())
    found["wall_seconds"] = time.perf_counter() - started
    place.parent.mkdir(exist_ok=True)
    answer.write_text(json.dumps(found))
    answer.replace(place)
    return found


def aligned(found: dict[str, object], data: DataSet, unseen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(truth, answers): class indices and probabilities in the sorted order of the classes, or values."""
    truth = data.frame[data.target].iloc[unseen]
    answers = np.asarray(found["answers"], dtype=float)
    if data.task == "regression":
        return truth.to_numpy(float), answers
    classes = sorted(map(str, pd.unique(data.frame[data.target])))
    given = [str(each) for each in found["classes"]]  # type: ignore[attr-defined]
    whole = np.zeros((len(answers), len(classes)))
    for index, label in enumerate(given):
        whole[:, classes.index(label)] = answers[:, index]
    return np.array([classes.index(str(each)) for each in truth]), whole


def report_bank(data: DataSet, engines: Sequence[str], ours: str, seconds: float, seeds: Sequence[int], work: Path) -> None:
    answered: dict[str, dict[int, np.ndarray]] = {}
    truths: dict[int, np.ndarray] = {}
    print(f"\n{data.name}, {seconds:g} s, AUC by seed; {len(data.frame)} rows, 80/20")
    for engine in engines:
        for seed in seeds:
            place = work / "results" / f"{data.name}-{engine}-{seconds:g}s-{seed}.json"
            if place.exists():
                found = json.loads(place.read_text())
                truths[seed], answered.setdefault(engine, {})[seed] = aligned(found, data, split(data, seed)[1])
        scores = {seed: 1 - loss("binary", truths[seed], each) for seed, each in answered.get(engine, {}).items()}
        if scores:
            texts = "  ".join(f"{seed}: {value:.5f}" for seed, value in scores.items())
            print(f"  {engine:18} mean {np.mean(list(scores.values())):.5f}   {texts}")
    if ours not in answered:
        return
    print(f"\n{ours} minus each, all seeds together, with 95 % interval (groups of identical rows drawn together)")
    for engine in engines:
        both = sorted(set(answered.get(engine, {})) & set(answered[ours]))
        if engine == ours or not both:
            continue
        groups = [data.groups(split(data, seed)[1]) for seed in both]
        mean, low, high = bootstrap(
            [truths[seed] for seed in both], [answered[ours][s] for s in both], [answered[engine][s] for s in both], groups
        )
        verdict = "ahead" if low > 0 else "BEHIND" if high < 0 else "tie"
        print(f"  {engine:18} {mean:+.5f}  ({low:+.5f} to {high:+.5f})  {verdict}, {len(both)} seeds")


def report_tables(
    sets: Sequence[DataSet], engines: Sequence[str], ours: str, seconds: float, seeds: Sequence[int], work: Path
) -> None:
    losses: dict[str, dict[str, list[float]]] = {}
    for data in sets:
        for engine in engines:
            for seed in seeds:
                place = work / "results" / f"{data.name}-{engine}-{seconds:g}s-{seed}.json"
                if place.exists():
                    truth, answers = aligned(json.loads(place.read_text()), data, split(data, seed)[1])
                    losses.setdefault(data.name, {}).setdefault(engine, []).append(loss(data.kind, truth, answers))
    whole = {name: each for name, each in losses.items() if all(len(each.get(engine, ())) == len(seeds) for engine in engines)}
    print(f"\n{len(whole)} of {len(sets)} data sets are complete; {seconds:g} s, {len(seeds)} splits")
    kinds = {data.name: data.kind for data in sets}
    for name, each in whole.items():
        values = "  ".join(f"{engine} {shown_metric(kinds[name], np.mean(each[engine])):.4f}" for engine in engines)
        tests = []
        for engine in engines:
            if engine != ours and ours in each:
                difference = np.array(each[engine]) - np.array(each[ours])
                p = corrected(difference, 0.25)
                tests.append(f"{'ahead' if difference.mean() > 0 else 'behind'} of {engine} p={p:.3f}")
        print(f"  {name:16} {kinds[name]:10} {values}   {'; '.join(tests)}")
    if whole:
        print("mean rank: " + "  ".join(f"{engine} {value:.2f}" for engine, value in ranks(whole, engines).items()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=("bank", "tables", "packaged", "large", "served", "leakage", "budget"), default="bank")
    parser.add_argument("--engines", default=None, help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--only", default=None, help="names of data sets, with commas")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--ours", default="opsml", help="the one that the others are compared with")
    parser.add_argument("--work", type=Path, default=Path("benchmark-automl"))
    parser.add_argument("--data", type=Path, default=DATA, help="the folder that holds bank-marketing/ and tabular/")
    parser.add_argument("--report", action="store_true", help="print what is there and run nothing")
    options = parser.parse_args()
    seeds = [int(text) for text in options.seeds.split(",")]
    peers = [engine for engine in ENGINES if not engine.startswith("opsml-")]
    usual = peers if options.set == "bank" else ["opsml", "autogluon-best", "flaml"]
    engines = options.engines.split(",") if options.engines else usual
    unknown = [engine for engine in engines if engine not in ENGINES]
    absent = options.set not in ("packaged", "large") and not options.data.is_dir()
    if unknown or absent:
        print(f"unknown: {unknown}" if unknown else f"no folder {options.data}: --data DIR", file=sys.stderr)
        return 2
    work = options.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    if options.set == "large":
        sets = [made_up(100_000), made_up(1_000_000)]
    elif options.set == "packaged":
        sets = packaged(work)
    else:
        sets = [bank(options.data)] if options.set == "bank" else tables(options.data)
    if options.only:
        sets = [data for data in sets if data.name in options.only.split(",")]
    if options.set in ("served", "leakage", "budget"):
        kept = {"served": served, "leakage": leakage, "budget": budget}[options.set](bank(options.data), work, options.seconds)
        return 0 if kept else 1
    if not options.report:
        for seed in seeds:
            for data in sets:
                for engine in engines:
                    found = one(engine, data, options.seconds, seed, work)
                    if found is not None:
                        truth, answers = aligned(found, data, split(data, seed)[1])
                        value = shown_metric(data.kind, loss(data.kind, truth, answers))
                        print(
                            f"{data.name} seed {seed} {engine}: {value:.5f}, {found['wall_seconds']:.0f} s",
                            file=sys.stderr,
                            flush=True,
                        )
    if options.set == "bank":
        report_bank(sets[0], engines, options.ours, options.seconds, seeds, work)
    else:
        report_tables(sets, engines, options.ours, options.seconds, seeds, work)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
