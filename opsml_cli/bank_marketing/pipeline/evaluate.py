"""Score a model on rows it has not seen, write the figures, and fail when it is too weak."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import mlflow.pyfunc
import pandas as pd
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--minimum-balanced-accuracy", type=float, default=0.0)
    parser.add_argument("--report", type=Path, required=True)
    arguments = parser.parse_args()
    rows = pd.read_csv(arguments.test / "rows.csv", keep_default_na=False)
    truth = rows.pop("y").tolist()
    predicted = list(mlflow.pyfunc.load_model(arguments.model).predict(rows))
    figures = {
        "rows": len(rows),
        "accuracy": round(accuracy_score(truth, predicted), 4),
        "balanced_accuracy": round(balanced_accuracy_score(truth, predicted), 4),
        "f1": round(f1_score(truth, predicted, pos_label="yes"), 4),
    }
    arguments.report.mkdir(parents=True, exist_ok=True)
    (arguments.report / "metrics.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures))
    if figures["balanced_accuracy"] < arguments.minimum_balanced_accuracy:
        print(f"too weak: balanced accuracy below {arguments.minimum_balanced_accuracy}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
