"""What free text is worth: which of Python's own packages does a docstring come from?

    python benchmarks/text_columns.py [--seconds 20] [--splits 3]

The rows are docstrings of the running Python's standard library (real prose, on every machine) with their lengths as the
only other column. Beside each other on the same unseen rows: opsml, opsml without the text, and scikit-learn's TF-IDF with
logistic regression.
"""

from __future__ import annotations

import argparse
import ast
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from automl_baseline import Quiet, split

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task
from opsml_cli.local.automl import metrics, scoring
from opsml_cli.local.automl.engine import train
from opsml_cli.local.automl.events import Tables
from opsml_cli.local.serving import scorers

PACKAGES = (
    "email",
    "asyncio",
    "xml",
    "unittest",
    "tkinter",
    "http",
    "logging",
    "multiprocessing",
    "distutils",
    "importlib",
    "json",
)
LEAST = 60


def docstrings() -> pd.DataFrame:
    """Columns `text`, `length`, `package`: one row a documented function or class."""
    library = Path(sysconfig.get_paths()["stdlib"])
    rows = []
    for package in PACKAGES:
        for path in sorted((library / package).rglob("*.py")):
            try:
                tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
            except SyntaxError:
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                    text = ast.get_docstring(node)
                    if text and len(text.split()) > 3:
                        rows.append({"text": " ".join(text.split()), "length": len(text), "package": package})
    frame = pd.DataFrame(rows).drop_duplicates("text")
    counts = frame["package"].value_counts()
    return frame[frame["package"].isin(counts.index[counts >= LEAST])].reset_index(drop=True)


def ours(
    frame: pd.DataFrame, learn: np.ndarray, unseen: np.ndarray, seconds: float, dropped: tuple[str, ...]
) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        spec = AutoMLSpec(
            TableSource(path="benchmark"), "package", Task.CLASSIFICATION, limits=Limits(seconds), drop_columns=dropped
        )
        train(spec, Tables(frame.iloc[learn].reset_index(drop=True)), Path(folder), Quiet())
        model_folder = Path(folder) / "outputs" / "model"
        model = scoring.load(str(scorers.own_data(model_folder, scorers.read_description(model_folder))))
        answers = model.probabilities(model.encode_frame(frame.iloc[unseen]))
    truth = np.array([model.classes.index(label) for label in frame["package"].iloc[unseen]])
    return metrics.classification(truth, answers)


def peer(frame: pd.DataFrame, learn: np.ndarray, unseen: np.ndarray) -> dict[str, float]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(C=10, max_iter=1000))
    model.fit(frame["text"].iloc[learn], frame["package"].iloc[learn])
    classes = model.classes_.tolist()
    truth = np.array([classes.index(label) for label in frame["package"].iloc[unseen]])
    return metrics.classification(truth, model.predict_proba(frame["text"].iloc[unseen]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--splits", type=int, default=3)
    options = parser.parse_args()
    frame = docstrings()
    print(f"{len(frame)} docstrings of {frame['package'].nunique()} packages, Python {sys.version.split()[0]}")
    print("split  way                        accuracy  AUC_weighted  log_loss")
    for seed in range(options.splits):
        learn, unseen = split(frame["package"].to_numpy(), seed)
        found = {
            "opsml": ours(frame, learn, unseen, options.seconds, ()),
            "opsml without the text": ours(frame, learn, unseen, options.seconds, ("text",)),
            "TF-IDF, logistic regression": peer(frame, learn, unseen),
        }
        for way, each in found.items():
            print(
                f"{seed:5}  {way:27}  {each['accuracy']:.4f}        {each['AUC_weighted']:.4f}    {each['log_loss']:.4f}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
