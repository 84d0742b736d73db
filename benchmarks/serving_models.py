"""Makes what the servers of serving.py serve: `python serving_models.py TABLE.csv FOLDER`, in an environment with MLflow.

FOLDER/pipeline: a scikit-learn Pipeline (ColumnTransformer, OrdinalEncoder, LGBMClassifier), pickled, in MLflow format;
FOLDER/custom: the same pipeline behind Python code of its own, which nobody can compile; FOLDER/code: a scoring script with the
pickled pipeline beside it; FOLDER/row.json and rows.json: one row and a thousand, as columns and data.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import mlflow
import pandas as pd
from lightgbm import LGBMClassifier
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

TARGET = "y"
SCRIPT = """
import json
import os
import pickle

import pandas as pd


def init():
    global model
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pipeline.pkl"), "rb") as file:
        model = pickle.load(file)


def run(raw_data):
    rows = json.loads(raw_data)
    return model.predict(pd.DataFrame(rows["data"], columns=rows["columns"])).tolist()
"""


class Custom(mlflow.pyfunc.PythonModel):
    """Code that no compiler knows, around the pipeline."""

    def __init__(self, pipeline: object) -> None:
        self._pipeline = pipeline

    def predict(self, context: object, model_input: pd.DataFrame, params: object = None) -> list[object]:  # noqa: ARG002
        return [str(label) for label in self._pipeline.predict(model_input)]


def main() -> int:
    table, folder = Path(sys.argv[1]), Path(sys.argv[2])
    frame = pd.read_csv(table)
    rows, target = frame.drop(columns=TARGET), frame[TARGET]
    numbers = list(rows.select_dtypes("number").columns)
    rows[numbers] = rows[numbers].astype(float)
    words = [name for name in rows.columns if name not in numbers]
    coded = ColumnTransformer(
        [
            ("numbers", SimpleImputer(), numbers),
            ("words", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), words),
        ]
    )
    pipeline = make_pipeline(coded, LGBMClassifier(verbose=-1))
    pipeline.fit(rows, target)
    signature = infer_signature(rows, pipeline.predict(rows[:10]))
    saved = {"signature": signature, "input_example": rows[:2], "pip_requirements": ["scikit-learn", "lightgbm", "pandas"]}
    mlflow.sklearn.save_model(pipeline, str(folder / "pipeline"), serialization_format="pickle", **saved)
    mlflow.pyfunc.save_model(str(folder / "custom"), python_model=Custom(pipeline), **saved)
    code = folder / "code"
    code.mkdir(parents=True)
    (code / "score.py").write_text(SCRIPT)
    (code / "pipeline.pkl").write_bytes(pickle.dumps(pipeline))
    for name, count in (("row", 1), ("rows", 1000)):
        document = {"columns": list(rows.columns), "data": rows[:count].to_numpy(dtype=object).tolist()}
        (folder / f"{name}.json").write_text(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
