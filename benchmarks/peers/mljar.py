"""mljar-supervised in its Compete mode."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
from supervised import AutoML

folder, target, task, seconds, seed, answer = sys.argv[1:7]
train, test = pd.read_csv(f"{folder}/train.csv"), pd.read_csv(f"{folder}/test.csv")
binary = task == "classification" and train[target].nunique() == 2
kind = "regression" if task == "regression" else "binary_classification" if binary else "multiclass_classification"
metric = "rmse" if task == "regression" else "auc" if binary else "logloss"
with tempfile.TemporaryDirectory() as work:
    started = time.perf_counter()
    model = AutoML(results_path=f"{work}/automl", mode="Compete", ml_task=kind, eval_metric=metric,
                   total_time_limit=int(float(seconds)), random_state=int(seed), verbose=0)  # fmt: skip
    model.fit(train.drop(columns=[target]), train[target])
    elapsed = time.perf_counter() - started
    if task == "regression":
        result = {"classes": [], "answers": model.predict(test).tolist()}
    else:
        classes = sorted(train[target].unique().tolist())
        result = {"classes": [str(each) for each in classes], "answers": model.predict_proba(test).tolist()}
Path(answer).write_text(json.dumps({**result, "seconds": elapsed}))
