"""Scripts with the packages that Azure's server knows: raw HTTP with Flask, and inference-schema."""

from __future__ import annotations

from script_case import FORM, INIT, JSON, MULTIPART, Case, Send, get, media, post, script

API = (
    "from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp\n"
    "from azureml_inference_server_http.api.aml_response import AMLResponse\n"
)

RAW = (
    Case(
        "@rawhttp: the request",
        script(
            API
            + INIT
            + """
@rawhttp
def run(request):
    if request.method == "POST" and request.args.get("read") == "json":
        return request.get_json()
    if request.args.get("read") == "strict":
        return request.json
    return {
        "method": request.method, "path": request.path, "args": request.args.to_dict(flat=False), "text": request.get_data(as_text=True),
        "form": request.form.to_dict(), "files": {n: f.read().decode() for n, f in request.files.items()}, "json": request.is_json,
        "mimetype": request.mimetype, "length": request.content_length, "one": request.headers.get("x-one"),
        "cookie": request.cookies.get("c"), "full": request.full_path, "type": type(request).__name__,
    }
"""
        ),
        (
            post("a POST", '{"a": 1}', headers={**JSON, "X-One": "1, 2", "cookie": "c=d"}),
            get("a=1&a=2&b=%C3%A9"),
            Send("an OPTIONS", b"", {}, "OPTIONS"),
            Send("a HEAD", b"", {}, "HEAD"),
            Send("a PUT", b"x", JSON, "PUT"),
            media("application/x-www-form-urlencoded", FORM),
            media("multipart/form-data; boundary=xyz", MULTIPART),
            media("image/png", b"\x89PNG"),
            post("JSON", "[1, 2]", query="read=json"),
            post("no JSON", "[1, 2", query="read=json"),
            Send("JSON of another type", b"[1]", {"content-type": "text/plain"}, query="read=strict"),
            post("no body", ""),
        ),
    ),
    Case(
        "@rawhttp: the response",
        script(
            API
            + INIT
            + """
import flask

def stream():
    yield b"a"
    yield b"b"

KINDS = {
    "bytes": lambda: AMLResponse(b"\\x00\\xff", 200, {"Content-Type": "image/png"}),
    "created": lambda: AMLResponse("made", 201, {"X-Kind": "a", "Location": "/there"}),
    "json": lambda: AMLResponse({"a": 1}, 202, json_str=True),
    "none": lambda: AMLResponse(None, 200),
    "bad": lambda: AMLResponse("no good", 422),
    "broken": lambda: AMLResponse({"e": 1}, 503, json_str=True),
    "failed": lambda: AMLResponse("f", 200, run_function_failed=True),
    "empty": lambda: AMLResponse("", 204),
    "commas": lambda: AMLResponse("x", 200, {"X-Kind": "a, b"}),
    "no text": lambda: AMLResponse(5, 200),
    "no status": lambda: AMLResponse("x", "200 Fine"),
    "teapot": lambda: AMLResponse("short", 418),
    "odd": lambda: AMLResponse("x", 299),
    "line": lambda: AMLResponse("x", 200, {"X-Kind": "a\\nb"}),
    "charset": lambda: AMLResponse("é".encode("latin-1"), 200, {"Content-Type": "text/plain; charset=latin-1"}),
    "flask": lambda: flask.Response("text", 200, mimetype="text/csv"),
    "jsonify": lambda: flask.jsonify(a=1),
    "make": lambda: flask.make_response({"a": 1}, 409, {"X-Kind": "m"}),
    "tuple": lambda: ("text", 201),
    "redirect": lambda: flask.redirect("/elsewhere"),
    "stream": lambda: flask.Response(stream(), mimetype="text/plain"),
    "file": lambda: flask.send_file(__file__, download_name="s.py", mimetype="text/x-python", etag=False, last_modified=0),
    "dict": lambda: {"plain": [1]},
    "text": lambda: "plain",
    "abort": lambda: flask.abort(404),
    "server error": lambda: flask.Response("x", 500),
    "raises": lambda: 1 / 0,
}

def cookie():
    response = flask.make_response("x")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response
KINDS["cookie"] = cookie

@rawhttp
def run(request):
    return KINDS[request.get_json()]()
"""
        ),
        tuple(
            post(kind, f'"{kind}"', shown=("x-kind", "location", "set-cookie", "content-disposition"))
            for kind in (
                "bytes", "created", "json", "none", "bad", "broken", "failed", "empty", "commas", "no text", "no status", "teapot",
                "odd", "line", "charset", "flask", "jsonify", "make", "tuple", "redirect", "stream", "file", "dict", "text", "abort",
                "server error", "raises", "cookie",
            )
        ),
    ),
    Case(
        "@rawhttp with headers beside it",
        script(API + INIT + "@rawhttp\ndef run(req, request_headers): return [req.method, request_headers.get('X-One')]\n"),
        (post("given", headers={**JSON, "x-one": "1"}),),
    ),
    Case(
        "AMLResponse without @rawhttp",
        script(
            API
            + INIT
            + "def run(raw_data): return AMLResponse(f'<b>{raw_data}</b>', 200, {'Content-Type': 'text/html', 'X-Kind': 'k'})\n"
        ),
        (post("given", "1", shown=("x-kind",)), get("a=1", shown=("x-kind",))),
    ),
    Case(
        "Flask that is imported inside run",
        script(INIT + "def run(raw_data):\n    import flask\n    return flask.jsonify(got=raw_data, path=flask.request.path)\n"),
        (post("first", "1"), post("second", "2")),
    ),
    Case(
        "@rawhttp and @input_schema",
        script(
            API
            + "from inference_schema.schema_decorators import input_schema\n"
            + "from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType\n"
            + INIT
            + "@rawhttp\n@input_schema('data', StandardPythonParameterType([1]))\ndef run(data): return 1\n"
        ),
    ),
)  # fmt: skip

SCHEMA = (
    "import numpy as np\nimport pandas as pd\n"
    "from inference_schema.schema_decorators import input_schema, output_schema\n"
    "from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType\n"
    "from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType\n"
    "from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType\n"
)
VERSIONS = tuple(Send(f"swagger {v}", b"", {}, "GET", f"version={v}", "/swagger.json") for v in ("2", "3"))

SCHEMAS = (
    Case(
        "@input_schema: an array",
        script(
            SCHEMA
            + INIT
            + "@input_schema('data', NumpyParameterType(np.array([[1.0, 2.0]])))\n"
            + "@output_schema(NumpyParameterType(np.array([3.0])))\n"
            + "def run(data): return (data.sum(axis=1) * 10).tolist() + [str(data.dtype)]\n"
        ),
        (
            post("two rows", '{"data": [[1, 3], [2, 2.5]]}'),
            post("more names", '{"data": [[1, 3]], "other": 1, "method": "predict"}'),
            post("a missing name", '{"rows": [[1, 3]]}'),
            post("a list", "[[1, 3]]"),
            post("no JSON", "{"),
            post("no body", ""),
            post("null", '{"data": null}'),
            post("texts", '{"data": [["a", "b"]]}'),
            post("a wrong width", '{"data": [[1, 2, 3]]}'),
            post("NaN", '{"data": [[NaN, 1]]}'),
            post("no UTF-8", b'{"data": "\xff"}'),
            post("UTF-16", '{"data": [[1, 3]]}'.encode("utf-16")),
            post("deep", b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
            post("twice the name", '{"data": [[9, 9]], "data": [[1, 3]]}'),
            get("data=[[1,3]]"),
            get("rows=1"),
            get("data=[[1,3]&data=[[2,3]]"),
            Send("OPTIONS", b"", {}, "OPTIONS"),
            media("text/csv", b'{"data": [[1, 3]]}'),
            media("application/json; charset=utf-8", b'{"data": [[1, 3]]}'),
            media("APPLICATION/JSON", b'{"data": [[1, 3]]}'),
            media("application/vnd.api+json", b'{"data": [[1, 3]]}'),
            media("text/json", b'{"data": [[1, 3]]}'),
            Send("no content type", b'{"data": [[1, 3]]}', {}),
            *VERSIONS,
        ),
    ),
    Case(
        "@input_schema: a table",
        script(
            SCHEMA
            + INIT
            + "sample = pd.DataFrame({'age': [40], 'job': ['clerk'], 'paid': [1.5], 'since': pd.to_datetime(['2020-01-01'])})\n"
            + "@input_schema('data', PandasParameterType(sample))\n"
            + "@output_schema(StandardPythonParameterType({'ages': [1]}))\n"
            + "def run(data): return {'ages': data['age'].tolist(), 'types': [str(t) for t in data.dtypes], 'names': list(data.columns)}\n"
        ),
        (
            post("records", '{"data": [{"age": 41, "job": "a", "paid": 2, "since": "2021-05-06"}]}'),
            post("a column less", '{"data": [{"age": 41}]}'),
            post("a column more", '{"data": [{"age": 41, "job": "a", "paid": 2, "since": "2021-05-06", "x": 1}]}'),
            post("a wrong type", '{"data": [{"age": "old", "job": "a", "paid": 2, "since": "2021-05-06"}]}'),
            post("none", '{"data": []}'),
            *VERSIONS,
        ),
    ),
    Case(
        "@input_schema: several parameters, defaults, headers",
        script(
            SCHEMA
            + INIT
            + "@input_schema('Inputs', StandardPythonParameterType({'data': NumpyParameterType(np.array([1.5]))}))\n"
            + "@input_schema('GlobalParameters', StandardPythonParameterType({'method': 'predict'}), convert_to_provided_type=False)\n"
            + "@output_schema(StandardPythonParameterType({'Results': [1.5]}))\n"
            + "def run(Inputs, GlobalParameters={'method': 'default'}, request_headers=None):\n"
            + "    return [type(Inputs['data']).__name__, float(Inputs['data'].sum()), GlobalParameters, request_headers.get('X-One')]\n"
        ),
        (
            post("both", '{"Inputs": {"data": [1, 2]}, "GlobalParameters": {"method": "x"}}', headers={**JSON, "x-one": "1"}),
            post("one", '{"Inputs": {"data": [1, 2]}}'),
            post("none", "{}"),
            post("of a wrong type", '{"Inputs": [1]}'),
            get('Inputs={"data":[1]}&GlobalParameters=3'),
            *VERSIONS,
        ),
    ),
    Case(
        "@output_schema alone",
        script(SCHEMA + INIT + "@output_schema(StandardPythonParameterType([1]))\ndef run(data): return [data]\n"),
        (post("an object", '{"data": 5}'), post("a list", "[5]"), *VERSIONS),
    ),
    Case(
        "@input_schema: an optional parameter",
        script(
            SCHEMA
            + INIT
            + "@input_schema('data', StandardPythonParameterType([1]))\n"
            + "@input_schema('extra', StandardPythonParameterType('x'), optional=True)\n"
            + "def run(data, extra=None): return [data, extra]\n"
        ),
        (post("both", '{"data": [2], "extra": "y"}'), post("one", '{"data": [2]}'), *VERSIONS),
    ),
    Case(
        "@input_schema with a name that run does not have",
        script(SCHEMA + INIT + "@input_schema('rows', StandardPythonParameterType([1]))\ndef run(data): return data\n"),
        (post("given", '{"data": [1], "rows": [2]}'),),
    ),
    Case(
        "swagger files beside the script",
        script(INIT + "def run(raw_data): return 1\n")
        | {
            "swagger2.json": '{"swagger": "2.0", "info": {"title": "mine", "version": "1"}, "paths": {"/score": {"post": {}}}}',
            "swagger3.json": '{"openapi": "3.0.3", "info": {"title": "mine3", "version": "1"}, "paths": {"/score": {}}}',
        },
        VERSIONS,
    ),
    Case(
        "swagger.json beside the script",
        script(INIT + "def run(raw_data): return 1\n") | {"swagger.json": '{"swagger": "2.0", "mine": true}'},
        (VERSIONS[0],),
    ),
)

ALL: tuple[Case, ...] = (*RAW, *SCHEMAS)
