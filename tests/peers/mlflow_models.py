"""The models of the MLflow suite, saved by MLflow itself: `python mlflow_models.py FOLDER`, in MLflow's environment."""

from __future__ import annotations

import datetime
import decimal
import sys
import warnings
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array, Map, Object, Property

OUT = Path(sys.argv[1])


class Echo(PythonModel):
    """What arrived: types and values, as texts. Every other model here computes; this one proves what the model is given."""

    def predict(self, context, model_input, params=None):
        def told(value):
            if isinstance(value, np.ndarray):
                return {"array": str(value.dtype), "shape": list(value.shape), "values": repr(value.tolist())}
            if isinstance(value, pd.Series):
                return {"dtype": str(value.dtype), "index": repr(value.index.tolist()), "values": repr(value.tolist())}
            return {"type": type(value).__name__, "value": repr(value)}

        if isinstance(model_input, pd.DataFrame):
            return {str(name): told(model_input[name]) for name in model_input.columns}
        if isinstance(model_input, dict):
            return {str(name): told(value) for name, value in model_input.items()}
        return told(model_input)


class Returns(PythonModel):
    """What the column `kind` says, of every type that a prediction may have."""

    def predict(self, context, model_input, params=None):
        kind = model_input["kind"].tolist()[0]
        rows = len(model_input)
        frame = pd.DataFrame({"low": [1.0] * rows, "high": [3] * rows, "tag": ["a"] * rows})
        made = {
            "frame": lambda: frame,
            "frame_index": lambda: frame.set_index(pd.Index(range(5, 5 + rows))),
            "frame_nan": lambda: frame.assign(low=float("nan")),
            "frame_times": lambda: frame.assign(at=pd.Timestamp("2026-01-31T10:00:00")),
            "frame_numbers": lambda: pd.DataFrame(np.eye(2)),
            "frame_empty": lambda: pd.DataFrame({"low": []}),
            "frame_bytes": lambda: pd.DataFrame({"b": [b"abc"] * rows}),
            "frame_lists": lambda: pd.DataFrame({"l": [[1, 2]] * rows, "d": [{"a": np.int64(1)}] * rows}),
            "series": lambda: pd.Series([1.5] * rows),
            "series_named": lambda: pd.Series([1, 2], name="score"),
            "dict": lambda: {"answer": 42, "parts": [1, 2.5, None]},
            "dict_arrays": lambda: {"a": np.array([1, 2]), "b": np.array([[1.5]]), "c": np.float32(0.5)},
            "dict_int_keys": lambda: {1: "one", 2: "two"},
            "list": lambda: [1, "two", 3.5, None, True],
            "list_numpy": lambda: [np.int64(1), np.float32(2.5), np.bool_(True), np.str_("x")],
            "list_nested": lambda: [[1, [2, [3]]], {"a": [4]}],
            "tuple": lambda: (1, 2),
            "text": lambda: "just text",
            "text_unicode": lambda: "naïve 日本 \U0001f600 \u0000",
            "none": lambda: None,
            "int": lambda: 7,
            "float": lambda: 7.5,
            "bool": lambda: True,
            "numpy_scalar": lambda: np.float64(2.5),
            "numpy_zero_rank": lambda: np.array(4),
            "numpy_one": lambda: np.arange(3),
            "numpy_two": lambda: np.arange(4.0).reshape(2, 2),
            "numpy_three": lambda: np.zeros((1, 2, 2), dtype=np.float32),
            "numpy_text": lambda: np.array(["a", "bc"]),
            "numpy_bool": lambda: np.array([True, False]),
            "numpy_objects": lambda: np.array(["a", 1, None], dtype=object),
            "numpy_bytes": lambda: np.array([b"ab", b"c"]),
            "numpy_times": lambda: np.array(["2026-01-31"], dtype="datetime64[s]"),
            "numpy_nanoseconds": lambda: np.array(["2026-01-31"], dtype="datetime64[ns]"),
            "nan": lambda: [float("nan"), float("inf"), float("-inf"), 1.0],
            "numpy_nan": lambda: np.array([np.nan, np.inf, 1.0]),
            "float32": lambda: np.array([0.1], dtype=np.float32),
            "uint64": lambda: np.array([2**64 - 1], dtype=np.uint64),
            "huge": lambda: [10**30],
            "dates": lambda: [datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, 5), datetime.time(4, 5)],
            "timestamp": lambda: pd.Timestamp("2026-01-31", tz="UTC"),
            "bytes": lambda: b"\x00\xffabc",
            "bytes_long": lambda: [b"x" * 100],
            "nat": lambda: [pd.NaT],
            "pandas_na": lambda: [pd.NA],
            "decimal": lambda: [decimal.Decimal("1.5")],
            "set": lambda: {1, 2},
            "complex": lambda: np.array([1 + 2j]),
            "generator": lambda: (value for value in (1, 2)),
            "empty_list": lambda: [],
            "empty_array": lambda: np.array([]),
            "multi_index": lambda: pd.DataFrame(np.eye(2), columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
            "raises_value": lambda: list(model_input["kind"])[10**6],
            "raises_runtime": lambda: (_ for _ in ()).throw(RuntimeError("the model is not in the mood")),
        }
        return made[kind]()


class Scaling(PythonModel):
    """Params of every type."""

    def predict(self, context, model_input, params=None):
        params = params or {}
        factor = params.get("factor", 100.0)
        told = {name: f"{type(value).__name__} {value!r}" for name, value in sorted(params.items())}
        return {"scaled": [float(value) * factor for value in model_input["x"]], "params": told}


class Factor(PythonModel):
    def predict(self, context, model_input, params=None):
        return model_input["x"] * (params or {}).get("factor", 2)


class Hinted(PythonModel):
    def predict(self, model_input: list[str], params=None) -> list[str]:
        return [text.upper() for text in model_input]


class Strict(PythonModel):
    """Refuses an input by an exception, as models do for a category that they do not know."""

    def predict(self, context, model_input, params=None):
        if (model_input["x"] > 100).any():
            raise ValueError("x is out of range")
        return model_input["x"].to_numpy() * 2


class OldStyle(PythonModel):
    """A predict without params."""

    def predict(self, context, model_input):
        return model_input.sum(axis=1).to_numpy()


class Tensors(PythonModel):
    def predict(self, context, model_input, params=None):
        if isinstance(model_input, dict):
            return {name: value * 2 if value.dtype.kind in "iuf" else value for name, value in model_input.items()}
        return model_input * 2 if model_input.dtype.kind in "iuf" else model_input


def columns(*specs):
    return Schema([ColSpec(kind, name) for name, kind in specs])


def save(name, model, inputs=None, outputs=None, params=None, example=None, **more):
    signature = ModelSignature(inputs, outputs, params) if inputs is not None or params is not None else None
    path = OUT / name
    requirements = more.pop("pip_requirements", ["mlflow"])
    mlflow.pyfunc.save_model(
        str(path), python_model=model, signature=signature, input_example=example, pip_requirements=requirements, **more
    )


def simple():
    for kind in ("integer", "long", "float", "double", "boolean", "string", "datetime", "binary"):
        save(f"echo_{kind}", Echo(), columns(("a", kind)))
    save("echo_mixed", Echo(), columns(("i", "integer"), ("l", "long"), ("f", "float"), ("d", "double"), ("b", "boolean"),
                                        ("s", "string")))  # fmt: skip
    optional = Schema([ColSpec(DataType.long, "a"), ColSpec(DataType.double, "b", required=False),
                       ColSpec(DataType.string, "c", required=False), ColSpec(DataType.long, "n", required=False),
                       ColSpec(DataType.boolean, "t", required=False)])  # fmt: skip
    save("echo_optional", Echo(), optional)
    save("echo_array", Echo(), columns(("a", Array(DataType.long)), ("b", Array(DataType.string))))
    save("echo_array_one", Echo(), columns(("a", Array(DataType.double))))
    save("echo_array_deep", Echo(), columns(("a", Array(Array(DataType.double)))))
    inner = Object([Property("x", DataType.long), Property("y", DataType.string, required=False)])
    save("echo_object", Echo(), columns(("o", inner)))
    save("echo_objects", Echo(), columns(("o", Array(inner)), ("k", DataType.string)))
    save("echo_map", Echo(), columns(("m", Map(DataType.long))))
    save("echo_any", Echo(), Schema([ColSpec(AnyType(), "a", required=False)]))
    save("echo_unnamed", Echo(), Schema([ColSpec(DataType.long), ColSpec(DataType.double)]))
    save("echo_unnamed_one", Echo(), Schema([ColSpec(DataType.string)]))
    save("echo_none", Echo())
    save("echo_data", Echo(), columns(("data", "double"), ("index", "long")))
    save("echo_names", Echo(), columns(("a b", "double"), ("ü\"'", "long"), ("", "string")))


def tensors():
    def tensor(dtype, shape, name=None):
        return TensorSpec(np.dtype(dtype), shape, name)

    save("tensor_float", Tensors(), Schema([tensor("float64", (-1, 3))]))
    save("tensor_single", Tensors(), Schema([tensor("float32", (-1, 2, 2))]))
    save("tensor_int", Tensors(), Schema([tensor("int64", (-1,))]))
    save("tensor_bytes", Tensors(), Schema([tensor("uint8", (-1, 2))]))
    save("tensor_text", Tensors(), Schema([tensor("str", (-1,))]))
    save("tensor_bool", Echo(), Schema([tensor("bool", (-1,))]))
    save("tensor_named", Tensors(), Schema([tensor("float64", (-1, 2), "a"), tensor("int32", (-1,), "b")]))
    save("tensor_named_one", Tensors(), Schema([tensor("float64", (-1, 2), "data")]))
    save("tensor_ragged", Echo(), Schema([tensor("object", (-1,))]))


def behaviour():
    kind = columns(("kind", "string"))
    save("returns", Returns(), kind, example=pd.DataFrame({"kind": ["list"]}))
    params = ParamSchema([
        ParamSpec("factor", DataType.double, 2.0), ParamSpec("count", DataType.long, 1),
        ParamSpec("small", DataType.integer, 3),
        ParamSpec("name", DataType.string, "n"), ParamSpec("on", DataType.boolean, False),
        ParamSpec("when", DataType.datetime, np.datetime64("2026-01-01")), ParamSpec("list", DataType.long, [1, 2], (-1,)),
        ParamSpec("object", Object([Property("k", DataType.string)]), {"k": "v"}),
    ])  # fmt: skip
    save("params", Scaling(), columns(("x", "double")), params=params)
    save("factor", Factor(), columns(("x", "double")), params=ParamSchema([ParamSpec("factor", DataType.double, 2.0)]))
    save("method_param", Scaling(), columns(("x", "double")), params=ParamSchema([ParamSpec("method", DataType.string, "m")]))
    save("hinted", Hinted())
    save("strict", Strict(), columns(("x", "double")), example=pd.DataFrame({"x": [1.0]}))
    save("old_style", OldStyle(), columns(("a", "double"), ("b", "double")))
    quantiles = columns(("x", "double"))
    save("no_context", Factor(), quantiles, outputs=columns((None, "double")))


def flavors():
    import lightgbm
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    random = np.random.default_rng(3)
    frame = pd.DataFrame({"age": random.integers(18, 90, 200), "balance": random.normal(0, 100, 200).round(2),
                          "job": random.choice(["admin", "nurse", "cook"], 200)})  # fmt: skip
    label = np.where(frame["age"] > 50, "old", "young")
    pipeline = make_pipeline(
        ColumnTransformer([("hot", OneHotEncoder(), ["job"]), ("scale", StandardScaler(), ["age", "balance"])]),
        LogisticRegression(),
    )
    pipeline.fit(frame, label)
    mlflow.sklearn.save_model(
        pipeline, str(OUT / "sk_pipeline"), signature=infer_signature(frame, label), input_example=frame.head(1),
        serialization_format="cloudpickle", pip_requirements=["mlflow", "scikit-learn"],
    )  # fmt: skip
    numbers = frame[["age", "balance"]].astype(float)
    regression = LinearRegression().fit(numbers, frame["age"] * 2.0)
    mlflow.sklearn.save_model(
        regression, str(OUT / "sk_regression"), signature=infer_signature(numbers, regression.predict(numbers)),
        serialization_format="cloudpickle", pip_requirements=["mlflow", "scikit-learn"],
    )  # fmt: skip
    array = numbers.to_numpy()
    tree = DecisionTreeClassifier(max_depth=3).fit(array, frame["age"] > 50)
    mlflow.sklearn.save_model(
        tree, str(OUT / "sk_tensor"), signature=infer_signature(array, tree.predict(array)),
        serialization_format="cloudpickle", pip_requirements=["mlflow", "scikit-learn"],
    )  # fmt: skip
    mlflow.sklearn.save_model(
        tree, str(OUT / "sk_bare"), serialization_format="cloudpickle", pip_requirements=["mlflow", "scikit-learn"]
    )
    booster = lightgbm.train({"objective": "regression", "verbose": -1, "num_threads": 1},
                             lightgbm.Dataset(numbers, frame["age"]), num_boost_round=5)  # fmt: skip
    mlflow.lightgbm.save_model(
        booster, str(OUT / "lgb_booster"), signature=infer_signature(numbers, booster.predict(numbers)),
        pip_requirements=["mlflow", "lightgbm"],
    )  # fmt: skip
    classifier = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1).fit(numbers, label)
    mlflow.lightgbm.save_model(
        classifier, str(OUT / "lgb_classifier"), signature=infer_signature(numbers, classifier.predict(numbers)),
        pip_requirements=["mlflow", "lightgbm"],
    )  # fmt: skip


def outliers():
    """Models of one class, behind a ColumnTransformer that drops columns, and a booster of 32-bit numbers."""
    import lightgbm
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import IsolationForest
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import OneClassSVM

    random = np.random.default_rng(4)
    frame = pd.DataFrame({"age": random.normal(50, 9, 200), "balance": random.normal(0, 100, 200),
                          "note": random.choice(["a", "b"], 200), "share": random.random(200).astype("float32")})  # fmt: skip
    for name, model in (
        ("sk_isolation", IsolationForest(n_estimators=20, random_state=0)),
        ("sk_one_class", OneClassSVM(nu=0.1)),
    ):
        pipeline = make_pipeline(ColumnTransformer([("scale", StandardScaler(), ["age", "balance"])]), model).fit(frame)
        mlflow.sklearn.save_model(
            pipeline, str(OUT / name), signature=infer_signature(frame, pipeline.predict(frame)), input_example=frame.head(1),
            serialization_format="cloudpickle", pip_requirements=["mlflow", "scikit-learn"],
        )  # fmt: skip
    single = frame[["age", "balance"]].astype("float32")
    classifier = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1).fit(single, frame["age"] > 50)
    mlflow.lightgbm.save_model(
        classifier, str(OUT / "lgb_single"), signature=infer_signature(single, classifier.predict(single)),
        pip_requirements=["mlflow", "lightgbm"],
    )  # fmt: skip


def same_module():
    """Two versions whose code has one name."""
    for version, added in (("shift_1", 100), ("shift_2", 200)):
        code = OUT / "code" / version
        code.mkdir(parents=True)
        (code / "shifting.py").write_text(f"ADDED = {added}\n")
        (code / "shift_loader.py").write_text(
            "import shifting\n\n\nclass Model:\n    def predict(self, frame, params=None):\n"
            "        return frame['x'] + shifting.ADDED\n\n\ndef _load_pyfunc(path):\n    return Model()\n"
        )
        (code / "data").mkdir()
        (code / "data" / "nothing.txt").write_text("")
        mlflow.pyfunc.save_model(
            str(OUT / version), loader_module="shift_loader", data_path=str(code / "data"), pip_requirements=["mlflow"],
            code_paths=[str(code / "shifting.py"), str(code / "shift_loader.py")],
            signature=ModelSignature(columns(("x", "long"))),
        )  # fmt: skip


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    OUT.mkdir(parents=True, exist_ok=True)
    simple()
    tensors()
    behaviour()
    flavors()
    outliers()
    same_module()
    (OUT / "made").write_text("all")
