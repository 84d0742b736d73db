"""The process that loads a model file, which is trusted, and saves it in MLflow format.

Run as `python -m opsml_cli.content.model_wrapper`, it reads its request from standard input and writes its answer into the file
that the request names, so that whatever the model prints is in nobody's way. The same file gives the same folder, byte for
byte."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

# MLmodel's lines that differ each time.
_VOLATILE = ("model_uuid", "utc_time_created", "run_id", "model_id", "artifact_path", "prompts", "model_size_bytes")
_EXAMPLE_FIX = "add --input-example FILE with some rows that the model takes"


class Refused(Exception):  # noqa: N818 - an answer, not a defect
    def __init__(self, error: str, cause: str | None = None, fix: str | None = None) -> None:
        super().__init__(error)
        self.answer = {"error": error, "cause": cause, "fix": fix}


def main() -> None:
    request = json.load(sys.stdin)
    answer: dict[str, Any]
    try:
        _wrap(request)
        answer = {"done": True}
    except Refused as refusal:
        answer = refusal.answer
    except ModuleNotFoundError as error:
        answer = _missing(error)
    except AttributeError as error:
        answer = {"error": f"it does not load: {error}"[:500]}
        if "Can't get attribute" in str(error):
            answer["cause"] = "it was saved by a program whose own classes or functions it needs"
            answer["fix"] = "put them into a module beside a scoring script: --code DIR"
    except BaseException as error:  # whatever loading foreign content raises, exits among them
        answer = {"error": f"it does not load: {type(error).__name__}: {error}"[:500]}
    Path(request["answer"]).write_text(json.dumps(answer), "utf-8")


def _missing(error: ModuleNotFoundError) -> dict[str, Any]:
    name = (error.name or "").partition(".")[0]
    if name in ("", "__main__"):
        return {"error": f"it does not load: {error}", "cause": "it was saved from a script of its own: __main__"}
    known = {"sklearn": "scikit-learn", "PIL": "pillow", "cv2": "opencv-python", "yaml": "pyyaml"}
    return {"missing": known.get(name, name)}


def _wrap(request: Mapping[str, Any]) -> None:
    kind, source = request["kind"], Path(request["source"])
    loaders: dict[str, Callable[[Path], Any]] = {
        "pickle": _unpickled,
        "skops": _from_skops,
        "lightgbm": _lightgbm,
        "xgboost": _xgboost,
        "catboost": _catboost,
        "onnx": _onnx,
    }
    model = loaders[kind](source)
    flavor = "onnx" if kind == "onnx" else _flavor(model)
    columns, tensor = _inputs(model, flavor)
    rows = _example(request["example"], columns)
    signature = _signature(model, columns, tensor, rows)
    options: dict[str, Any] = {"signature": signature, "pip_requirements": _requirements(flavor)}
    if rows is not None:
        options["input_example"] = rows.head(5)
    saver = import_module(f"mlflow.{flavor}")
    if flavor == "sklearn":
        options["serialization_format"] = "cloudpickle"
    folder = Path(request["folder"])
    if flavor == "onnx":
        saver.save_model(model, str(folder), **options)
    else:
        key = {"sklearn": "sk_model", "lightgbm": "lgb_model", "xgboost": "xgb_model", "catboost": "cb_model"}[flavor]
        saver.save_model(**{key: model}, path=str(folder), **options)
    _settle(folder)


# Loading


def _unpickled(source: Path) -> Any:
    import joblib

    # joblib reads plain pickles too, and what it compressed itself.
    model = joblib.load(source)
    if not callable(getattr(model, "predict", None)):
        raise Refused(
            f"it holds {_article(type(model).__name__)}, which has no predict",
            "expected a fitted model: a scikit-learn estimator or Pipeline, or one with its interface",
            "or answer for it by a script: --code DIR",
        )
    return model


def _article(name: str) -> str:
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


def _from_skops(source: Path) -> Any:
    from skops.io import get_untrusted_types, load

    # The caller trusts the file, and with it the types that it names.
    return load(source, trusted=get_untrusted_types(file=source))


def _lightgbm(source: Path) -> Any:
    import lightgbm

    model = lightgbm.Booster(model_file=str(source))
    if any(getattr(model, "pandas_categorical", None) or ()):
        raise Refused(
            "it was trained on pandas categories, which a request cannot carry",
            "its text file holds the codes of the categories, not how a request names them",
            "save a Pipeline with the encoder as a pickle, or answer by a script: --code DIR",
        )
    return model


def _xgboost(source: Path) -> Any:
    model = import_module("xgboost").Booster()
    model.load_model(str(source))
    return model


def _catboost(source: Path) -> Any:
    catboost = import_module("catboost")
    generic = catboost.CatBoost().load_model(str(source))
    loss = str((generic.get_all_params() or {}).get("loss_function", ""))
    classes = getattr(generic, "classes_", None)
    classifier = loss in ("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll") or (
        classes is not None and len(classes)
    )
    made = catboost.CatBoostClassifier() if classifier else catboost.CatBoostRegressor()
    return made.load_model(str(source))


def _onnx(source: Path) -> Any:
    import_module("onnxruntime")  # what answers requests
    return import_module("onnx").load(str(source))


def _flavor(model: Any) -> str:
    """MLflow's flavor of a loaded model, by the library of its class."""
    roots = {each.__module__.partition(".")[0] for each in type(model).__mro__}
    return next((name for name in ("lightgbm", "xgboost", "catboost") if name in roots), "sklearn")


# What the model takes


def _inputs(model: Any, flavor: str) -> tuple[list[tuple[str, str]], Any]:
    """Name and MLflow type of each input column, from what the model itself keeps; or a tensor's specification."""
    if flavor == "onnx":
        return _onnx_inputs(model)
    if flavor == "catboost":
        texts = {*model.get_cat_feature_indices(), *model.get_text_feature_indices()}
        return [(name, "string" if place in texts else "double") for place, name in enumerate(model.feature_names_)], None
    if flavor == "lightgbm" and hasattr(model, "feature_name") and callable(model.feature_name):
        return [(name, "double") for name in model.feature_name()], None
    if flavor == "xgboost" and not hasattr(model, "feature_names_in_") and hasattr(model, "num_features"):
        names = model.feature_names or [f"f{place}" for place in range(model.num_features())]
        return [(name, "double") for name in names], None
    names = _names(model)
    texts = set()
    _collect_texts(model, names, texts)
    return [(name, "string" if name in texts else "double") for name in names], None


def _names(model: Any) -> list[str]:
    """The estimator's columns, or x0, x1 … where it was fitted without names."""
    for holder in (model, *(step for _, step in getattr(model, "steps", ()) or ())):
        found = getattr(holder, "feature_names_in_", None)
        if found is not None:
            return [str(name) for name in found]
    count = getattr(model, "n_features_in_", None)
    return [] if count is None else [f"x{place}" for place in range(int(count))]


def _collect_texts(model: Any, names: Sequence[str], texts: set[str]) -> None:
    """Columns that a fitted encoder or vectorizer takes as text."""
    for name, step, columns in getattr(model, "transformers_", ()) or ():
        if name == "remainder" or isinstance(step, str):
            continue
        chosen = [columns] if isinstance(columns, str | int) else list(columns)
        named = [names[each] if isinstance(each, int) and each < len(names) else str(each) for each in chosen]
        if hasattr(step, "vocabulary_"):
            texts.update(named)
        _collect_texts(step, named, texts)
    for _, step in getattr(model, "steps", ()) or ():
        _collect_texts(step, names, texts)
        if hasattr(step, "transformers_") or hasattr(step, "categories_"):
            break  # what comes behind sees other columns
    categories = getattr(model, "categories_", None)
    if isinstance(categories, list):
        texts.update(name for name, known in zip(names, categories, strict=False) if known.dtype.kind in "OUS")


def _onnx_inputs(model: Any) -> tuple[list[tuple[str, str]], Any]:
    from mlflow.types import Schema, TensorSpec

    known = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in known]
    specs, columns = [], []
    for each in inputs:
        tensor = each.type.tensor_type
        dtype = import_module("onnx.helper").tensor_dtype_to_np_dtype(tensor.elem_type)
        shape = tuple(side.dim_value or -1 for side in tensor.shape.dim)
        specs.append(TensorSpec(dtype, (-1, *shape[1:]), each.name if len(inputs) > 1 else None))
        columns.append((each.name, "string" if dtype.kind in "OUS" else "double"))
    return (columns if len(inputs) > 1 else []), Schema(specs)


def _example(rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str]]) -> Any:
    """The example's rows as a frame with the model's columns; None without an example."""
    if not rows:
        return None
    import pandas as pd

    frame = pd.DataFrame(list(rows))
    names = [name for name, _ in columns]
    if names and all(name in frame for name in names):
        return frame[names]
    if names and names != [f"x{place}" for place in range(len(names))]:
        missing = next(name for name in names if name not in frame)
        raise Refused(
            f"the input example has no column {missing!r}", f"the model takes {', '.join(names[:10])}", "give rows with them"
        )
    if names and len(frame.columns) != len(names):
        raise Refused(
            f"the input example has {len(frame.columns)} columns", f"the model takes {len(names)}", "leave the target out"
        )
    return frame


def _signature(model: Any, columns: Sequence[tuple[str, str]], tensor: Any, rows: Any) -> Any:
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema

    if tensor is not None:
        return ModelSignature(inputs=tensor)
    if rows is not None:
        return infer_signature(rows, _tried(model, rows))
    if not columns:
        raise Refused("it does not say which columns it takes", f"{_article(type(model).__name__)} keeps none", _EXAMPLE_FIX)
    import pandas as pd

    made = pd.DataFrame([{name: "" if kind == "string" else 0.0 for name, kind in columns}])
    answer = _tried(model, made)
    inferred = infer_signature(made, answer)
    inputs = Schema([ColSpec(kind, name, required=kind == "string") for name, kind in columns])
    return ModelSignature(inputs=inputs, outputs=inferred.outputs)


def _tried(model: Any, frame: Any) -> Any:
    """What the model answers: proof that these are columns that it takes."""
    try:
        if type(model).__name__ == "Booster" and type(model).__module__.startswith("xgboost"):
            return model.predict(import_module("xgboost").DMatrix(frame))
        return model.predict(frame)
    except Exception as error:
        raise Refused(
            f"it does not answer rows of the columns {', '.join(map(str, frame.columns[:10]))}",
            f"{type(error).__name__}: {error}"[:300],
            _EXAMPLE_FIX,
        ) from error


# What is written


def _requirements(flavor: str) -> list[str]:
    """The packages that are loaded now, which the model therefore needs, at their versions."""
    wanted = {"mlflow-skinny", "numpy", "pandas", "scikit-learn", "cloudpickle"} if flavor == "sklearn" else {"mlflow-skinny"}
    wanted |= {"lightgbm": {"lightgbm"}, "xgboost": {"xgboost"}, "catboost": {"catboost"}, "onnx": {"onnx", "onnxruntime"}}.get(
        flavor, set()
    )
    for name in ("lightgbm", "xgboost", "catboost", "category_encoders", "imblearn", "torch"):
        if name in sys.modules:
            wanted |= set(metadata.packages_distributions().get(name, ()))
    found = []
    for name in sorted(wanted):
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        # Whole MLflow has all of the smaller package's code.
        found.append(f"{'mlflow' if name == 'mlflow-skinny' else name}=={version}")
    return found


def _settle(folder: Path) -> None:
    """Take out what is another each time, so that the same file is the same model."""
    import yaml

    manifest = folder / "MLmodel"
    document = yaml.safe_load(manifest.read_text("utf-8"))
    for key in _VOLATILE:
        document.pop(key, None)
    for flavor in document["flavors"].values():
        if isinstance(flavor.get("skops_trusted_types"), list):  # in the order of a set
            flavor["skops_trusted_types"].sort()
    manifest.write_text(yaml.safe_dump(document, sort_keys=True), "utf-8")


if __name__ == "__main__":
    main()
