"""AutoGluon: `best` is best_quality without stacking, `high` high_quality, `medium` medium_quality."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

# This script has the library's name: its own folder must not be looked in.
sys.path.pop(0)
import pandas as pd
from autogluon.tabular import TabularPredictor

folder, target, task, seconds, _, answer, variant = sys.argv[1:8]
train, test = pd.read_csv(f"{folder}/train.csv"), pd.read_csv(f"{folder}/test.csv")
binary = task == "classification" and train[target].nunique() == 2
kind = "regression" if task == "regression" else "binary" if binary else "multiclass"
metric = "root_mean_squared_error" if task == "regression" else "roc_auc" if binary else "log_loss"
options = {
    "best": {"presets": "best_quality", "num_stack_levels": 0, "dynamic_stacking": False},
    "high": {"presets": "high_quality"},
    "medium": {"presets": "medium_quality"},
}[variant]
# All cores that this run may use: it can be bound to some (taskset).
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
with tempfile.TemporaryDirectory() as work:
    started = time.perf_counter()
    predictor = TabularPredictor(label=target, problem_type=kind, eval_metric=metric, path=work, verbosity=1)
    predictor.fit(train, time_limit=float(seconds), num_cpus=cores, **options)
    elapsed = time.perf_counter() - started
    if task == "regression":
        result = {"classes": [], "answers": predictor.predict(test).tolist()}
    else:
        chances = predictor.predict_proba(test)
        result = {"classes": [str(each) for each in chances.columns], "answers": chances.to_numpy().tolist()}
Path(answer).write_text(json.dumps({**result, "seconds": elapsed}))
