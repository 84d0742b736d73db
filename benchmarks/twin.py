"""Fit the bank-marketing twin to the real table, and compare the two.

    python benchmarks/twin.py REAL.csv            compare: AUCs, balance, coinciding rows
    python benchmarks/twin.py REAL.csv --fit      fit opsml_cli/bank_marketing/twin.json first

What is written are smoothed figures: every conditional distribution is pulled towards a coarser one with the weight of
`strength` rows, so that no cell states a handful of people; quantile curves leave out the extremes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opsml_cli.bank_marketing import twin

FIGURES = Path(twin.__file__).with_name("twin.json")
MONTH = ["month", "emp.var.rate", "cons.price.idx", "cons.conf.idx", "nr.employed"]
AGE_EDGES = [25, 30, 35, 40, 45, 50, 55, 60]
PROBABILITIES = [0.0, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99, 1.0]


def fit(real: pd.DataFrame) -> dict[str, Any]:
    """The tables of `real`, as `twin.draw` reads them."""
    data = real.copy()
    months = data.groupby(MONTH).size().sort_index()
    data["_month"] = data[MONTH].apply(tuple, axis=1).map({key: index for index, key in enumerate(months.index)})
    data["_age"] = np.searchsorted(AGE_EDGES, data["age"], side="right")
    ages = {"_age": {"from": "age", "edges": AGE_EDGES}}
    # Each line: what is drawn, given what; every parent list is followed by the coarser one it is pulled towards.
    nodes = [
        choose(data, ["y"], [[]]),
        choose(data, ["_month", *MONTH], [["y"], []], strength=5),
        choose(data, ["euribor3m"], [["_month"]]),
        choose(data, ["pdays", "previous", "poutcome"], [["_month", "y"], ["_month"], ["y"]], strength=25),
        choose(data, ["contact"], [["_month", "y"], ["_month"]], strength=25),
        choose(data, ["day_of_week"], [["_month"], []], strength=25),
        choose(data, ["job"], [["_month"], []], strength=50),
        curve(data, "age", [["job", "y"], ["job"]], strength=40, derive=ages),
        choose(data, ["education"], [["job", "_age"], ["job"]], strength=25),
        choose(data, ["marital"], [["_age", "job"], ["_age"]], strength=25),
        choose(data, ["default"], [["_month", "education"], ["_month"], []], strength=25),
        choose(data, ["housing", "loan"], [["contact"], []], strength=25),
        choose(data, ["campaign"], [["_month"], []], strength=25),
        curve(data, "duration", [["_month", "y", "poutcome"], ["_month", "y"]], strength=15),
    ]
    return {
        "source": "Fitted to the bank-marketing data of S. Moro, P. Cortez, P. Rita (UCI, CC BY 4.0)",
        "columns": list(real.columns),
        "nodes": nodes,
    }


def choose(data: pd.DataFrame, sets: list[str], parents: list[list[str]], strength: float = 0.0) -> dict[str, Any]:
    """A `values` node: smoothed weights of the value tuples of `sets` by context."""
    tuples = data[sets].apply(tuple, axis=1)
    values = sorted(tuples.unique(), key=lambda value: tuple(map(str, value)))
    code = tuples.map({value: index for index, value in enumerate(values)})
    # Fewer than five rows count as five: a figure about one customer is no figure of a distribution.
    overall = np.maximum(np.bincount(code, minlength=len(values)), 5).astype(float)
    fine, *coarse = parents
    weights: dict[str, list[int]] = {}
    for context, members in _groups(data, fine):
        pulled = overall / overall.sum()
        for names in reversed(coarse):
            pulled = _smooth(code[_same(data, members, names)], pulled, strength)
        weights[context] = _whole(_smooth(code[members], pulled, strength))
    return {
        "sets": sets,
        "given": fine,
        "values": [[_plain(part) for part in value] for value in values],
        "weights": weights | {"*": _whole(overall / overall.sum())},
        "default": "*",
    }


def curve(
    data: pd.DataFrame, name: str, parents: list[list[str]], strength: float, derive: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A `quantiles` node: the quantile function of `name` by context, averaged with the coarser context's."""
    fine, coarse = parents
    column = data[name].to_numpy(float)
    curves: dict[str, list[int]] = {}
    for context, members in _groups(data, fine):
        own = _quantiles(column[members])
        wide = _quantiles(column[_same(data, members, coarse)])
        share = len(members) / (len(members) + strength)
        curves[context] = np.rint(share * own + (1 - share) * wide).astype(int).tolist()
    return {
        "sets": [name],
        "given": fine,
        "probabilities": PROBABILITIES,
        "quantiles": curves | {"*": np.rint(_quantiles(column)).astype(int).tolist()},
        "default": "*",
        "derive": derive or {},
    }


def _quantiles(values: np.ndarray) -> np.ndarray:
    """The quantile function at PROBABILITIES; the ends are near-extreme quantiles, not somebody's value."""
    inner = np.clip(PROBABILITIES, 0.002, 0.998)
    return np.quantile(values, inner)


def _groups(data: pd.DataFrame, names: list[str]) -> list[tuple[str, np.ndarray]]:
    if not names:
        return [("", np.arange(len(data)))]
    found = data.groupby(names, sort=True).indices
    return [("|".join(map(str, key if isinstance(key, tuple) else (key,))), members) for key, members in found.items()]


def _same(data: pd.DataFrame, members: np.ndarray, names: list[str]) -> np.ndarray:
    """The rows that agree with `members` on `names`."""
    first = data.iloc[members[0]]
    agree = np.ones(len(data), dtype=bool)
    for name in names:
        agree &= (data[name] == first[name]).to_numpy()
    return np.flatnonzero(agree)


def _smooth(codes: pd.Series, towards: np.ndarray, strength: float) -> np.ndarray:
    counts = np.bincount(codes, minlength=len(towards)) + strength * towards
    return counts / counts.sum()


def _whole(weights: np.ndarray) -> list[int]:
    return np.rint(weights * 100_000).astype(int).tolist()


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def auc(data: pd.DataFrame, drop: Sequence[str] = (), seeds: Sequence[int] = (0, 1, 2)) -> float:
    """Mean ROC AUC of LightGBM with its defaults on stratified 80/20 splits of `data`."""
    from lightgbm import LGBMClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split

    features = data.drop(columns=["y", *drop])
    for name in features.select_dtypes(exclude="number"):
        features[name] = features[name].astype("category")
    label = (data["y"] == "yes").astype(int)
    found = []
    for seed in seeds:
        x, x_test, y, y_test = train_test_split(features, label, test_size=0.2, stratify=label, random_state=seed)
        model = LGBMClassifier(random_state=seed, n_jobs=2, verbose=-1).fit(x, y)
        found.append(roc_auc_score(y_test, model.predict_proba(x_test)[:, 1]))
    return float(np.mean(found))


def coinciding(real: pd.DataFrame, other: pd.DataFrame) -> int:
    """Rows of `other` that are also in `real`, all columns compared."""
    known = set(map(tuple, real.astype(str).to_numpy()))
    return sum(row in known for row in map(tuple, other.astype(str).to_numpy()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path)
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    real = pd.read_csv(arguments.real, keep_default_na=False)
    if arguments.fit:
        FIGURES.write_text(json.dumps(fit(real), separators=(",", ":")) + "\n", "utf-8")
        print(f"wrote {FIGURES.name}: {FIGURES.stat().st_size:,} bytes")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "twin.csv"
        start = time.perf_counter()
        twin.write_twin(path)
        print(f"twin written in {time.perf_counter() - start:.2f} s")
        drawn = pd.read_csv(path, keep_default_na=False)
    for name, data in (("real", real), ("twin", drawn)):
        print(
            f"{name}: rows {len(data)}, yes {(data['y'] == 'yes').mean():.4f}, "
            f"AUC {auc(data):.4f}, without duration {auc(data, ['duration']):.4f}, "
            f"duration alone {auc(data[['duration', 'y']]):.4f}"
        )
    different = [
        name for name in real.columns if real[name].dtype == object and set(real[name].unique()) != set(drawn[name].unique())
    ]
    print(
        f"columns in the same order: {list(real.columns) == list(drawn.columns)}; categories that differ: {different or 'none'}"
    )
    half = real.sample(frac=0.5, random_state=0)
    rest = real.drop(half.index)
    print(
        f"coinciding rows: twin in real {coinciding(real, drawn)} of {len(drawn)}; for comparison, "
        f"one half of the real table in the other {coinciding(rest, half)} of {len(half)}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
