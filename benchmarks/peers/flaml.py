"""FLAML, with its ensemble or without."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

# This script has the library's name: its own folder must not be looked in.
sys.path.pop(0)
import pandas as pd
from flaml import AutoML

folder, target, task, seconds, seed, answer, variant = sys.argv[1:8]
train, test = pd.read_csv(f"{folder}/train.csv"), pd.read_csv(f"{folder}/test.csv")
binary = task == "classification" and train[target].nunique() == 2
metric = "rmse" if task == "regression" else "roc_auc" if binary else "log_loss"
# All cores that this run may use: it can be bound to some (taskset).
cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
started = time.perf_counter()
model = AutoML()
model.fit(dataframe=train, label=target, task=task, metric=metric, time_budget=float(seconds), seed=int(seed), n_jobs=cores,
          ensemble=variant == "ensemble", verbose=0)  # fmt: skip
elapsed = time.perf_counter() - started
if task == "regression":
    result = {"classes": [], "answers": model.predict(test).tolist()}
else:
    result = {"classes": [str(each) for each in model.classes_], "answers": model.predict_proba(test).tolist()}
Path(answer).write_text(json.dumps({**result, "seconds": elapsed}))
