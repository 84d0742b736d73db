"""`opsml train automl` as a user runs it: from the command's start to the registered model, then scoring."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

folder, target, task, seconds, seed, answer, *more = sys.argv[1:]
with tempfile.TemporaryDirectory() as work:
    base = [sys.executable, "-m", "opsml_cli"]
    words = [
        "--data",
        f"{folder}/train.csv",
        "--target-column",
        target,
        "--task",
        task,
        "--timeout",
        f"{seconds}s",
        "--seed",
        seed,
        *more,
    ]
    if task == "classification":
        # Every tool is asked for the metric that it is judged by.
        kinds = pd.read_csv(f"{folder}/train.csv", usecols=[target])[target].nunique()
        words += ["--metric", "AUC_weighted" if kinds == 2 else "log_loss"]
    started = time.perf_counter()
    done = subprocess.run([*base, "train", "automl", *words, "-o", "json"], cwd=work, stdout=subprocess.PIPE, check=True)
    elapsed = time.perf_counter() - started
    model = json.loads(done.stdout)["model"]
    proba = ["--proba"] if task == "classification" else []
    scored = subprocess.run(
        [*base, "score", "--model", f"{model['name']}:{model['version']}", f"{folder}/test.csv", *proba, "-o", "json"],
        cwd=work, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    found = json.loads(scored.stdout)
result = {
    "classes": found.get("classes") or [],
    "answers": found.get("probabilities") or found["predictions"],
    "seconds": elapsed,
}
Path(answer).write_text(json.dumps(result))
