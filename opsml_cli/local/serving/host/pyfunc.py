"""An MLflow model folder as a deployment: requests in the dialects of Azure, answers equal to those of MLflow's own server."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opsml_cli.domain.column_values import shown, written
from opsml_cli.domain.contract import BadRequest, Dialect, Envelope, in_dialect, open_envelope, read_method
from opsml_cli.domain.errors import ContractError
from opsml_cli.domain.mlflow_path import mlflow_path
from opsml_cli.domain.mlflow_signature import INT32, INT64, SignatureError, example_input, read
from opsml_cli.local.serving.host import pyfunc_result, tracebacks
from opsml_cli.local.serving.host.exchange import Description, HostReply, HostRequest
from opsml_cli.local.serving.host.pyfunc_frames import Frames, proven
from opsml_cli.local.serving.host.pyfunc_input import Input, Reader, Request, expected_param, meant

_RAW_MODELS = ("sklearn_model", "xgb_model", "lgb_model", "cb_model", "model")


def load(model: Path) -> PyfuncResponder:
    """The MLflow model in the folder `model`, proven with its own example. ContractError when it cannot be served; whatever
    else the model's code raises while it loads is raised too."""
    if not (model / "MLmodel").is_file():
        raise ContractError("the folder is no MLflow model: it has no MLmodel file")
    import mlflow.pyfunc

    try:
        loaded = mlflow.pyfunc.load_model(mlflow_path(model))
    except ImportError as error:
        raise ContractError(
            f"the model needs a package that is not installed here: {error.name or error}",
            fix=f"pip install {error.name}" if error.name else None,
        ) from error
    responder = PyfuncResponder(loaded)
    responder.prove(model)
    return responder


class PyfuncResponder:
    """A loaded model. `native` is the object of the flavor (a scikit-learn estimator, a booster), or None."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._metadata = model.metadata
        signature = getattr(self._metadata, "signature", None)
        try:
            self.signature = read({"signature": signature.to_dict()} if signature is not None else {})
        except SignatureError as error:
            raise ContractError(str(error)) from error
        self._schema = self._metadata.get_input_schema()
        self._raw = bool(_asked(self._metadata, "_is_signature_from_type_hint"))
        self._reader = Reader(self.signature, self._schema)
        self._params_schema = _asked(self._metadata, "get_params_schema")
        self._own_params = {str(param["name"]): param for param in self.signature.params}
        self.native = _native(model)
        self._probabilities = getattr(self.native, "predict_proba", None)
        self.classes = _classes(self.native) if self._probabilities is not None else ()
        self._predict = getattr(model, "_predict_fn", None)
        self._takes_params = False
        self._frames = self._quick_frames()
        self._example: Any = None
        self._reply: Any = None
        self._notes: list[str] = []

    @property
    def model(self) -> Any:
        """What `mlflow.pyfunc` loaded."""
        return self._model

    # -- the contract of a responder ------------------------------------------------------------------------------------------

    def describe(self) -> Description:
        example = None if self._example is None else json.dumps(self._example)
        return Description(
            columns=tuple(asdict(column) for column in self.signature.columns()),
            classes=self.classes,
            example=example,
            results=tuple(self._reply) if isinstance(self._reply, list) else (),
            notes=tuple(self._notes),
            signature=self.signature.document(),
            reply=self._reply,
        )

    def answer(self, request: HostRequest) -> HostReply:
        refusal = _refused_media(request)
        if refusal is not None:
            return refusal
        dialect = None
        try:
            body = _parsed(request.body)
            envelope = open_envelope(body)
            dialect = envelope.dialect
            prediction, given, ignored = self._scored(envelope)
            reply = json.dumps(in_dialect(dialect, prediction), ensure_ascii=False, separators=(",", ":"))
            return HostReply(
                200, reply.encode("utf-8", "surrogatepass"), headers=_warning(ignored), rows=given.rows,
                converted=given.converted, ignored=bool(ignored),
            )  # fmt: skip
        except BadRequest as error:
            error.dialect = error.dialect or dialect
            return HostReply(400, error.body())
        except _ModelFailedError as error:
            return _failed(error.cause)

    # -- scoring --------------------------------------------------------------------------------------------------------------

    def _scored(self, envelope: Envelope) -> tuple[Any, Input, tuple[str, ...]]:
        params, proba, ignored = self._parameters(envelope)
        request = meant(envelope, self.signature, self._raw)
        prediction, given = self._answered(request, params, proba)
        try:
            return pyfunc_result.plain(prediction), given, (*ignored, *given.ignored)
        except pyfunc_result.NoJsonError as error:
            raise _ModelFailedError(error) from error

    def _parameters(self, envelope: Envelope) -> tuple[dict[str, Any] | None, bool, tuple[str, ...]]:
        """(the model's own params, whether probabilities are asked for, names that mean nothing to it)."""
        given, known = dict(envelope.parameters), self._own_params
        if envelope.dialect is not Dialect.MLFLOW and given.get("method") == "predict":
            del given["method"]  # clients of the AutoML dialects always send it: no word to a param of the model's own
        proba = "method" not in known and read_method(envelope) == "predict_proba"
        if proba and self._probabilities is None:
            raise BadRequest("this model gives no probabilities", expected="method predict")
        own = {name: value for name, value in given.items() if name in known}
        for name, value in own.items():
            bound = {"long": INT64, "integer": INT32}.get(str(known[name].get("type")))
            for each in value if isinstance(value, list) else [value]:
                if bound is not None and isinstance(each, int) and not -bound <= each < bound:
                    where = f"{envelope.above}{name}"
                    expected = "an integer of 64 bits" if bound == INT64 else "an integer of 32 bits"
                    raise BadRequest(f"{where} is {written(each)}", value=shown(each), expected=expected)
        self._typed(own, envelope.above)
        left = [name for name in given if name not in known and not (name == "method" and "method" not in known)]
        return own or None, proba, tuple(f"{envelope.above}{name}" for name in left)

    def _typed(self, params: Mapping[str, Any], above: str) -> None:
        """Refuse the first param that MLflow does not take for the type in the signature: its own message is a set of
        tuples."""
        if not params or self._params_schema is None:
            return
        from mlflow.exceptions import MlflowException
        from mlflow.types.schema import ParamSpec

        for spec in self._params_schema.params:
            if spec.name not in params:
                continue
            value = params[spec.name]
            try:
                ParamSpec.validate_param_spec(value, spec)
            except MlflowException as error:
                expected = expected_param(self._own_params[spec.name])
                raise BadRequest(
                    f"{above}{spec.name} is {written(value)}, expected {expected}", value=shown(value), expected=expected
                ) from error

    def _answered(self, request: Request, params: dict[str, Any] | None, proba: bool) -> tuple[Any, Input]:
        quick = None
        if self._frames is not None and request.orient in ("split", "records"):
            quick = self._frames.of_request(request.orient, request.data)
        given = Input(*quick) if quick is not None else self._reader.read(request)
        try:
            if proba and self._probabilities is not None:
                return self._probabilities(given.data if quick is not None else self._enforced(given.data)), given
            if quick is not None:
                return self._quick(given.data, params), given
            return self._predicted(given.data, params), given
        except BadRequest:
            raise
        except (Exception, SystemExit) as error:
            raise self._told(error) from error

    def _predicted(self, data: Any, params: dict[str, Any] | None) -> Any:
        if "params" in inspect.signature(self._model.predict).parameters:
            return self._model.predict(data, params=params)
        return self._model.predict(data)

    def _quick(self, frame: Any, params: dict[str, Any] | None) -> Any:
        """What `PyFuncModel.predict` does after its checks, which the frame passes by the way it was made."""
        assert self._predict is not None
        if self._takes_params:
            return self._predict(frame, params=self._checked(params))
        if params:
            self._checked(params)
        return self._predict(frame)

    def _checked(self, params: dict[str, Any] | None) -> Any:
        if self._params_schema is None:
            return {} if params else params
        from mlflow.models.utils import _enforce_params_schema

        return _enforce_params_schema(params, self._params_schema)

    def _enforced(self, data: Any) -> Any:
        if self._schema is None:
            return data
        from mlflow.models.utils import _enforce_schema

        return _enforce_schema(data, self._schema)

    def _told(self, error: BaseException) -> Exception:
        """Whose fault an exception is. MLflow's server takes it for the request's, always; here a model that does not answer
        its own example any more is broken, and says so."""
        if isinstance(error, SystemExit | MemoryError) or not isinstance(error, Exception):
            return _ModelFailedError(error)
        if type(error).__module__.startswith("mlflow.") and getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE":
            return BadRequest(_reason(error))
        if self._example is not None and not self._still_answers():
            return _ModelFailedError(error)
        print(*tracebacks.lines_of(error), sep="\n", file=sys.stderr, flush=True)  # noqa: T201 - the journal reads it
        return BadRequest(f"the model cannot score this input: {type(error).__name__}: {str(error)[:1000]}")

    def _still_answers(self) -> bool:
        try:
            envelope = open_envelope(json.loads(json.dumps(self._example)))
            params, _, _ = self._parameters(envelope)
            given = self._reader.read(meant(envelope, self.signature, self._raw))
            pyfunc_result.plain(self._predicted(given.data, params))
        except (Exception, SystemExit):
            return False
        return True

    # -- loading --------------------------------------------------------------------------------------------------------------

    def _quick_frames(self) -> Frames | None:
        """The way without MLflow's checks, where it leads to the very same frames."""
        hinted = _asked(self._metadata, "_is_type_hint_from_example")
        context = (getattr(self._metadata, "metadata", None) or {}).get("dependencies_schemas")
        if self._predict is None or self._raw or hinted or context or not Frames.possible(self.signature):
            return None
        argument = inspect.signature(self._predict).parameters.get("params")
        self._takes_params = argument is not None and argument.kind is not inspect.Parameter.VAR_KEYWORD
        frames = Frames(self.signature)

        def by_mlflow(split: dict[str, Any]) -> Any:
            return self._enforced(self._reader.read(Request("split", split)).data)

        try:
            return frames if proven(frames, by_mlflow) else None
        except Exception as error:  # whatever differs in this environment: MLflow's own way stays
            print(f"MLflow's own conversions are used: {error}", file=sys.stderr, flush=True)  # noqa: T201
            return None

    def prove(self, folder: Path) -> None:
        """Find a request that the model answers: its own example, or one made of its signature."""
        own = _own_example(folder)
        made = example_input(self.signature)
        for body in ([own] if own is not None else []) + ([{"input_data": made}] if made is not None and own is None else []):
            reply = self.answer(HostRequest("POST", "/score", "", (), json.dumps(body).encode()))
            if reply.status == 200:
                self._example, self._reply = body, json.loads(reply.body)
            elif body is own:
                raise ContractError(f"the model refuses its own example: {_message(reply.body)}")
            else:
                self._notes.append(
                    f"no example is known: the model refuses a row made of its signature: {_message(reply.body)}"
                )


class _ModelFailedError(Exception):
    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _failed(error: BaseException) -> HostReply:
    print(*tracebacks.lines_of(error), sep="\n", file=sys.stderr, flush=True)  # noqa: T201 - the journal reads it
    kind = type(error).__name__
    message = f"the model failed with {kind}; see the logs"
    if isinstance(error, pyfunc_result.NoJsonError):
        message = str(error)
    return HostReply(500, json.dumps({"error": {"code": "model_failed", "message": message}}).encode())


def _refused_media(request: HostRequest) -> HostReply | None:
    """415 for what is no JSON in UTF-8. No content type at all passes."""
    headers = dict(request.headers)
    media, _, parameters = headers.get("content-type", "application/json").lower().partition(";")
    media = media.strip()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        message = "the content type is application/json"
    elif "charset" in parameters and "utf-8" not in parameters and "utf8" not in parameters:
        message = "the charset is utf-8"
    elif headers.get("content-encoding", "identity").strip().lower() != "identity":
        message = "send the body without a content encoding"
    else:
        return None
    return HostReply(415, json.dumps({"error": {"code": "unsupported_media_type", "message": message}}).encode())


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        told = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadRequest(f"the body is no JSON: {told}", expected="JSON in UTF-8; null for a missing value") from error


def _reason(error: BaseException) -> str:
    """MLflow repeats the whole data in front of the reason."""
    message = str(getattr(error, "message", error))
    return message.rpartition("Error: ")[2][:1000] if "Error: " in message else message[:1000]


def _message(body: bytes) -> str:
    document = json.loads(body)
    if isinstance(document, Mapping):
        inner = document.get("error", document)
        return str(inner.get("message", inner) if isinstance(inner, Mapping) else inner)[:500]
    return str(document)[:500]


def _warning(ignored: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    if not ignored:
        return ()
    text = json.dumps(", ".join(ignored[:20]))[1:-1].replace("\\", "").replace('"', "'")
    return (("warning", f'299 opsml "ignored: {text[:500]}"'),)


def _asked(metadata: Any, method: str) -> Any:
    """The answer of a method that older releases of MLflow do not have."""
    found = getattr(metadata, method, None)
    return found() if callable(found) else None


def _native(model: Any) -> Any:
    inner = getattr(model, "_model_impl", None)
    get = getattr(inner, "get_raw_model", None)
    if callable(get) and type(inner).__module__.startswith("mlflow."):
        try:
            return get()
        except Exception:  # a wrapper that has none
            return None
    return next((getattr(inner, name) for name in _RAW_MODELS if hasattr(inner, name)), None)


def _classes(native: Any) -> tuple[Any, ...]:
    found: Any = getattr(native, "classes_", None)
    values = found.tolist() if hasattr(found, "tolist") else list(found) if isinstance(found, list | tuple) else []
    return tuple(values) if all(isinstance(value, str | bool | int | float) for value in values) else ()


def _own_example(folder: Path) -> Any:
    """The folder's input example as a request in MLflow's dialect of Azure, cut to one row; None when it has none."""
    for name in ("serving_input_example.json", "input_example.json"):
        try:
            document = json.loads((folder / name).read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if not isinstance(document, dict):
            continue
        params = document.get("params")
        found = _input_of(document)
        if found is not None:
            return {"input_data": found, "params": params} if isinstance(params, dict) else {"input_data": found}
    return None


def _input_of(document: Mapping[str, Any]) -> Any:
    if "dataframe_split" in document or {"columns", "data"} <= document.keys():
        split = dict(document.get("dataframe_split", document))
        rows = split.get("data")
        if not isinstance(rows, list) or not rows:
            return None
        answer = {"columns": split["columns"]} if "columns" in split else {}
        return answer | {"index": list((split.get("index") or [0])[:1]), "data": rows[:1]}
    if "dataframe_records" in document:
        return list(document["dataframe_records"])[:1]
    if "inputs" in document:
        return document["inputs"]
    return None
