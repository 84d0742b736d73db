"""H2O AutoML on a server of its own, for this one training."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

# This script has the library's name: its own folder must not be looked in.
sys.path.pop(0)
import h2o
import pandas as pd
from h2o.automl import H2OAutoML

folder, target, task, seconds, seed, answer = sys.argv[1:7]
h2o.init(ip="127.0.0.1", bind_to_localhost=True, nthreads=-1, max_mem_size="6G")
try:
    train, test = h2o.import_file(f"{folder}/train.csv"), h2o.import_file(f"{folder}/test.csv")
    classification = task == "classification"
    if classification:
        train[target] = train[target].asfactor()
    binary = classification and pd.read_csv(f"{folder}/train.csv", usecols=[target])[target].nunique() == 2
    metric = "AUC" if binary else "logloss" if classification else "RMSE"
    started = time.perf_counter()
    model = H2OAutoML(max_runtime_secs=round(float(seconds)), seed=int(seed), sort_metric=metric)
    model.train(y=target, training_frame=train)
    elapsed = time.perf_counter() - started
    found = model.leader.predict(test).as_data_frame()
    if classification:
        names = [name for name in found.columns if name != "predict"]
        known = [str(each) for each in train[target].levels()[0]]
        # Numeric labels come back as p0, p1, …
        result = {
            "classes": [name if name in known else name.removeprefix("p") for name in names],
            "answers": found[names].to_numpy().tolist(),
        }
    else:
        result = {"classes": [], "answers": found["predict"].tolist()}
    Path(answer).write_text(json.dumps({**result, "seconds": elapsed}))
finally:
    h2o.cluster().shutdown()
