"""An MLflow folder as a host process answers for it. The whole of it is compared with MLflow's server in tests/peers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opsml_cli.domain.errors import ContractError
from opsml_cli.local.serving.host import pyfunc
from opsml_cli.local.serving.host.exchange import HostReply, HostRequest

CODE = """
class Model:
    broken = False

    def predict(self, data, params=None):
        {body}


def _load_pyfunc(path):
    return Model()
"""
_numbers = itertools.count()
Served = Callable[..., pyfunc.PyfuncResponder]


@pytest.fixture
def served(tmp_path: Path) -> Served:
    def serve(body: str, *inputs: dict[str, Any], params: list[dict[str, Any]] | None = None, **files: Any) -> Any:
        folder = tmp_path / f"model{next(_numbers)}"
        (folder / "code").mkdir(parents=True)
        module = f"responder_model_{folder.name}"
        (folder / "code" / f"{module}.py").write_text(CODE.format(body=body))
        (folder / "data").write_text("")
        text = f"flavors:\n  python_function:\n    loader_module: {module}\n    code: code\n    data: data\n"
        if inputs:
            text += f"signature:\n  inputs: '{json.dumps(inputs)}'\n"
        if params:
            text += f"  params: '{json.dumps(params)}'\n"
        (folder / "MLmodel").write_text(text)
        for name, content in files.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        return pyfunc.load(folder)

    return serve


def column(name: str, kind: str, required: bool = True) -> dict[str, Any]:
    return {"type": kind, "name": name, "required": required}


def ask(model: pyfunc.PyfuncResponder, data: Any, **more: Any) -> tuple[int, Any]:
    return told(post(model, json.dumps({"input_data": data, **more}).encode()))


def post(model: pyfunc.PyfuncResponder, body: bytes, *headers: tuple[str, str]) -> HostReply:
    return model.answer(HostRequest("POST", "/score", "", headers, body))


def told(reply: HostReply) -> tuple[int, Any]:
    return reply.status, json.loads(reply.body)


def test_columns_of_32_bits_arrive_as_such(served: Served) -> None:
    model = served("return [str(kind) for kind in data.dtypes]", column("i", "integer"), column("f", "float"))
    assert ask(model, [{"i": 1, "f": 1.5}]) == (200, ["int32", "float32"])
    assert ask(model, [{"i": 1, "f": 2}]) == (200, ["int32", "float32"])
    status, error = ask(model, [{"i": 1 << 31, "f": 1.5}])
    assert (status, error["column"], error["row"], error["expected"]) == (400, "i", 0, "an integer of 32 bits")


def test_optional_columns_may_be_left_out(served: Served) -> None:
    model = served("return list(data.columns)", column("a", "long"), column("b", "double", False))
    assert ask(model, [{"a": 1}]) == (200, ["a"])
    assert ask(model, [{"a": 1, "b": None}]) == (200, ["a", "b"])
    assert ask(model, [{"b": 1.5}])[1]["message"] == "column 'a' is missing"


@pytest.mark.parametrize("value", [None, 10**19, -(10**19), 1.5, "x", [1], 1e300])
def test_what_an_integer_column_cannot_hold_is_refused(served: Served, value: object) -> None:
    model = served("return data['a'].tolist()", column("a", "long"))
    status, error = ask(model, {"columns": ["a"], "data": [[1], [value]]})
    assert (status, error["column"], error["row"]) == (400, "a", 1)


@pytest.mark.parametrize(
    ("value", "written"),
    [(10**19, str(10**19)), (-(10**19), str(-(10**19))), (10**300, "1" + "0" * 19 + "…00000 (301 digits)")],
)
def test_an_integer_that_is_too_large_is_shown(served: Served, value: int, written: str) -> None:
    status, refusal = ask(served("return data['x'].tolist()", column("x", "long")), [{"x": value}])
    assert status == 400
    assert refusal["message"] == f"column 'x', row 0: {written} is not an integer of 64 bits"
    assert refusal["value"] == written


def test_params_reach_the_model(served: Served) -> None:
    factor = {"name": "factor", "type": "double", "default": 2.0, "shape": None}
    model = served("return (data['x'] * params['factor']).tolist()", column("x", "double"), params=[factor])
    assert ask(model, [{"x": 2.0}]) == (200, [4.0])
    assert ask(model, [{"x": 2.0}], params={"factor": 3}) == (200, [6.0])
    status, refusal = ask(model, [{"x": 2.0}], params={"factor": "3"})
    assert status == 400 and refusal["message"] == "params.factor is '3', expected a number"
    assert (refusal["value"], refusal["expected"]) == ("3", "a number")
    body = json.dumps({"input_data": [{"x": 2.0}], "params": {"factr": 3}}).encode()
    reply = post(model, body)
    assert told(reply) == (200, [4.0])
    assert reply.ignored and reply.headers == (("warning", '299 opsml "ignored: params.factr"'),)
    v2 = {"Inputs": {"data": [{"x": 2.0}]}, "GlobalParameters": {"method": "predict", "factor": 5}}
    assert told(post(model, json.dumps(v2).encode())) == (200, {"Results": [10.0]})


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("import pandas as pd; return pd.DataFrame({'low': [1.0], 'tag': ['a']})", [{"low": 1.0, "tag": "a"}]),
        ("return data['x']", [{"x": 2.0}]),
        ("return 'text'", "text"),
        ("return {'a': data['x'].to_numpy(), 'n': float('nan')}", {"a": [2.0], "n": None}),
        ("import numpy as np; return np.ones((1, 2, 1))", [[[1.0], [1.0]]]),
        ("return b'abc'", "YWJj\n"),
    ],
)
def test_results_are_what_mlflow_writes(served: Served, body: str, answer: object) -> None:
    model = served(body, column("x", "double"))
    assert ask(model, [{"x": 2.0}]) == (200, answer)
    assert told(post(model, b'{"data": [{"x": 2}]}')) == (200, json.dumps({"result": answer}))


def test_tensors_and_models_without_a_signature(served: Served) -> None:
    tensor = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}
    model = served("return data.sum(axis=1)", tensor)
    assert ask(model, [[1, 2], [3, 4]]) == (200, [3.0, 7.0])
    assert ask(model, [[1, 2, 3]])[0] == 400
    free = served("return type(data).__name__")
    assert ask(free, [[1, 2]]) == (200, "ndarray")
    assert ask(free, {"columns": ["a"], "data": [[1]]}) == (200, "DataFrame")
    assert free.describe().example is None


def test_an_exception_is_the_input_s_fault_unless_the_example_fails_too(served: Served) -> None:
    body = (
        "\n        if self.broken or (data['x'] > 9).any(): raise ValueError('out of range')\n        return data['x'].tolist()"
    )
    model = served(body, column("x", "double"))
    status, error = ask(model, [{"x": 10.0}])
    assert (status, error["message"]) == (400, "the model cannot score this input: ValueError: out of range")
    model._model._model_impl.broken = True
    assert ask(model, [{"x": 10.0}])[0] == 500


def test_a_result_that_is_no_json_is_the_model_s_fault(served: Served) -> None:
    model = served("return {1, 2} if (data['x'] > 9).any() else [1]", column("x", "double"))
    status, error = ask(model, [{"x": 10.0}])
    assert (status, error["error"]["message"]) == (500, "the model's result holds a set, which JSON cannot hold")


def test_the_folder_s_own_example_proves_it(served: Served) -> None:
    example = {"dataframe_split": {"columns": ["x"], "data": [[5.0], [6.0]]}, "params": None}
    described = served("return data['x'].tolist()", column("x", "double"), serving_input_example=example).describe()
    assert described.example is not None
    assert json.loads(described.example)["input_data"]["data"] == [[5.0]]
    assert (described.reply, described.results) == ([5.0], (5.0,))
    with pytest.raises(ContractError, match="refuses its own example"):
        served("raise ValueError('never')", column("x", "double"), serving_input_example=example)


def test_only_json_in_utf_8_is_read(served: Served) -> None:
    model = served("return data['x'].tolist()", column("x", "double"))
    body = b'{"input_data": [{"x": 1}]}'
    for media, status in (
        ("application/json; charset=utf-8", 200),
        ("text/csv", 415),
        ("application/json; charset=latin-1", 415),
    ):
        assert post(model, body, ("content-type", media)).status == status
    assert post(model, body, ("content-encoding", "gzip")).status == 415
    for broken in (b"", b"{", b"[" * 100_000, b"\xff"):
        assert post(model, broken).status == 400
