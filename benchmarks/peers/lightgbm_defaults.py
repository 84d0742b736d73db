"""LightGBM's scikit-learn estimators with nothing set, their own handling of categories and missing values."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import lightgbm
import pandas as pd

folder, target, task, _, _, answer = sys.argv[1:7]
train, test = pd.read_csv(f"{folder}/train.csv"), pd.read_csv(f"{folder}/test.csv")
for name in test.columns:
    if not pd.api.types.is_numeric_dtype(train[name]):
        kinds = pd.CategoricalDtype(sorted(set(train[name].dropna().astype(str))))
        for table in (train, test):
            table[name] = table[name].astype(str).where(table[name].notna()).astype(kinds)
started = time.perf_counter()
make = lightgbm.LGBMRegressor if task == "regression" else lightgbm.LGBMClassifier
model = make(verbose=-1).fit(train.drop(columns=[target]), train[target])
elapsed = time.perf_counter() - started
if task == "regression":
    result = {"classes": [], "answers": model.predict(test).tolist()}
else:
    result = {"classes": [str(each) for each in model.classes_], "answers": model.predict_proba(test).tolist()}
Path(answer).write_text(json.dumps({**result, "seconds": elapsed}))
