"""Scoring scripts and requests that Azure's server and opsml are both given: as users write them, and odder."""

from __future__ import annotations

from script_case import ECHO, FORM, INIT, JSON, MULTIPART, Case, Send, get, media, post, script
from script_cases_surroundings import SURROUNDINGS

BODIES = (
    Case(
        "echo: bodies and media types",
        script(ECHO),
        (
            post("an object", '{"data": [1, 2.5, null, "é"]}'),
            post("empty body", ""),
            post("no JSON", "{not json"),
            post("no UTF-8", b"\xff\xfe\x00"),
            post("a byte order mark", b"\xef\xbb\xbf[1]"),
            post("a NUL", b'"a\x00b"'),
            post("300 KB", b"[" + b"1," * 150_000 + b"1]"),
            post("line ends", b"a\r\nb\rc\n"),
            Send("no content type", b"[1]", {}),
            media("text/csv"),
            media("text/plain; charset=latin-1", "é".encode("latin-1")),
            media("text/plain; charset=utf-16", "é".encode("utf-16")),
            media("application/xml", b"<a/>"),
            media("application/octet-stream", b"\x01\x02"),
            media("application/vnd.api+json", b"[1]"),
            media("application/x-www-form-urlencoded", FORM),
            media("multipart/form-data; boundary=xyz", MULTIPART),
            media("multipart/form-data", MULTIPART),
            media("no/such; thing", b"x"),
            Send("gzip", b"\x1f\x8b\x08", {**JSON, "content-encoding": "gzip"}),
        ),
    ),
    Case(
        "echo: queries and methods",
        script(ECHO),
        (
            get(""),
            get("a=1&b=[1,2]&c=a&d=null"),
            get("foo=bar1&foo=bar2&x=y"),
            get("a=&b"),
            get("q=caf%C3%A9+noir%20x"),
            get("bad=%FF%FE"),
            get("j=%7B%22k%22%3A1%7D"),
            get("a=1;b=2"),
            get("a=NaN&b=1e3&c=true&d=-0"),
            get("=1"),
            post("POST with a query", '{"a": 1}', query="b=2"),
            Send("GET with a body", b"[1]", JSON, "GET", "a=1"),
            Send("OPTIONS", b"", {}, "OPTIONS"),
            Send("HEAD", b"", {}, "HEAD"),
            Send("PUT", b"[1]", JSON, "PUT"),
            Send("DELETE", b"", {}, "DELETE"),
            Send("PATCH", b"[1]", JSON, "PATCH"),
            Send("another path", b"[1]", JSON, path="/scores"),
            Send("a slash more", b"[1]", JSON, path="/score/"),
            Send("the health probe", b"", {}, "GET", path="/"),
        ),
    ),
)

RESULTS = Case(
    "results of every kind",
    script(
        INIT
        + """
        import datetime, decimal, enum, json
        import numpy as np
        import pandas as pd

        class Color(enum.IntEnum):
            RED = 1

        def circular():
            a = []
            a.append(a)
            return a

        async def later():
            return 1

        class Text(str):
            pass

        KINDS = {
            "none": lambda: None, "int": lambda: 3, "big": lambda: 10**30, "float": lambda: 0.1 + 0.2, "nan": lambda: float("nan"),
            "inf": lambda: [float("inf"), -float("inf")], "bool": lambda: True, "text": lambda: "é ☃ \\U0001f600",
            "json text": lambda: json.dumps({"a": [1]}), "surrogate": lambda: "\\ud800", "list": lambda: [1, [2, {"a": None}]],
            "tuple": lambda: (1, 2), "tuple with a status": lambda: ({"error": "no"}, 400), "empty": lambda: {},
            "int keys": lambda: {1: "a", None: "b", True: "c", 2.5: "d"}, "tuple keys": lambda: {(1, 2): 3},
            "bytes": lambda: b"abc", "bytearray": lambda: bytearray(b"abc"), "set": lambda: {1}, "array": lambda: np.array([1.5, 2]),
            "array as a list": lambda: np.array([[1, 2], [3, 4]]).tolist(), "float64": lambda: np.float64(1.5),
            "float32": lambda: np.float32(1.5), "int64": lambda: np.int64(3), "bool_": lambda: np.bool_(True),
            "frame": lambda: pd.DataFrame({"a": [1]}), "frame as JSON": lambda: pd.DataFrame({"a": [1]}).to_json(orient="records"),
            "frame as records": lambda: pd.DataFrame({"a": [1.5, None]}).to_dict("records"), "series": lambda: pd.Series([1]),
            "timestamp": lambda: pd.Timestamp("2020-01-01"), "NA": lambda: pd.NA, "date": lambda: datetime.date(2020, 1, 1),
            "decimal": lambda: decimal.Decimal("1.1"), "generator": lambda: (i for i in range(3)), "range": lambda: range(3),
            "coroutine": lambda: later(), "circular": circular, "IntEnum": lambda: Color.RED, "str subclass": lambda: Text("a"),
            "object": lambda: object(), "exception": lambda: ValueError("a value"), "type": lambda: int,
            "nested bytes": lambda: {"a": [1, b"x"]}, "deep": lambda: __import__("functools").reduce(lambda a, _: [a], range(100000), 0),
        }

        def run(raw_data):
            return KINDS[json.loads(raw_data)]()
        """.replace("\n        ", "\n")
    ),
    tuple(
        post(kind, f'"{kind}"')
        for kind in (
            "none", "int", "big", "float", "nan", "inf", "bool", "text", "json text", "surrogate", "list", "tuple",
            "tuple with a status", "empty", "int keys", "tuple keys", "bytes", "bytearray", "set", "array", "array as a list",
            "float64", "float32", "int64", "bool_", "frame", "frame as JSON", "frame as records", "series", "timestamp", "NA",
            "date", "decimal", "generator", "range", "coroutine", "circular", "IntEnum", "str subclass", "object", "exception",
            "type", "nested bytes", "deep", "unknown",
        )
    ),
)  # fmt: skip

ARGUMENTS = (
    Case(
        "run(raw_data, request_headers)",
        script(
            INIT
            + "def run(raw_data, request_headers):\n"
            + "    kept = ('X-One', 'Content-Type', 'X-Request-Id', 'Accept-Language', 'Azureml-Model-Deployment', 'X-Ms-Trace')\n"
            + "    return {'type': type(request_headers).__name__, **{name: request_headers.get(name) for name in kept},\n"
            + "            'lower': request_headers.get('x-one'), 'length': request_headers.get('Content-Length'),\n"
            + "            'under': [each for each in request_headers if '_' in each]}\n"
        ),
        (
            post("given", headers={**JSON, "X-ONE": "1", "x-request-id": "id-1", "accept-language": "en, de", "x-ms-trace": "t"}),
            post("with an underscore", headers={**JSON, "x_one": "1"}),
            post("an empty one", headers={**JSON, "x-one": ""}),
            get("a=1"),
        ),
    ),
    Case(
        "run(request_headers, data): the order does not matter",
        script(INIT + "def run(request_headers, data): return [data, request_headers.get('X-One')]\n"),
        (post("given", headers={**JSON, "x-one": "1"}),),
    ),
    Case("run(*, data): by name alone", script(INIT + "def run(*, data): return data\n"), (post("given"),)),
    Case("run(data=3): a default is not used", script(INIT + "def run(data=3): return data\n"), (post("given"), post("empty", ""))),
    Case("run(data, more='x')", script(INIT + "def run(data, more='x'): return [data, more]\n"), (post("given"),)),
    Case(
        "run(data, more) without a default",
        script(INIT + "def run(data, more): return 1\n"),
        (post("given"),),
        logged=("TypeError", "'more'"),
    ),
    Case("run()", script(INIT + "def run(): return 1\n")),
    Case("run(request_headers)", script(INIT + "def run(request_headers): return 1\n")),
    Case("run(*args)", script(INIT + "def run(*args): return 1\n")),
    Case("run(data, **more)", script(INIT + "def run(data, **more): return 1\n")),
    Case("run(data, /)", script(INIT + "def run(data, /): return 1\n")),
    Case("run is a lambda", script(INIT + "run = lambda body: [body]\n"), (post("given"),)),
    Case("run is a partial", script("import functools\n" + INIT + "def of(n, data): return [n, data]\nrun = functools.partial(of, 2)\n"), (post("given"),)),
    Case("run is an object that can be called", script(INIT + "class R:\n    def __call__(self, data): return data\nrun = R()\n"), (post("given"),)),
    Case("run is a bound method", script("class R:\n    n = 0\n    def init(self): self.n = 5\n    def run(self, data): return [self.n, data]\nr = R()\ninit, run = r.init, r.run\n"), (post("given"),)),
    Case("run is imported", script("from other import init, run\n", other=ECHO), (post("given"),)),
    Case("run has a decorator that keeps its signature", script("import functools\ndef twice(f):\n    @functools.wraps(f)\n    def g(*a, **k): return [f(*a, **k)] * 2\n    return g\n" + INIT + "@twice\ndef run(raw_data): return raw_data\n"), (post("given"),)),
    Case("run has a decorator that hides its signature", script("def plain(f):\n    def g(*a, **k): return f(*a, **k)\n    return g\n" + INIT + "@plain\ndef run(raw_data): return raw_data\n")),
    Case("run is a class", script(INIT + "class run:\n    def __init__(self, data): pass\n"), (post("given"),)),
    Case("async def run", script(INIT + "async def run(data): return 1\n"), (post("given"),)),
    Case("run is no function", script(INIT + "run = 3\n")),
)  # fmt: skip

REFUSED = (
    Case("no init", script("def run(raw_data): return 1\n")),
    Case("no run", script(INIT)),
    Case("init that takes an argument", script("def init(model): pass\ndef run(raw_data): return 1\n")),
    Case("init is None", script("init = None\ndef run(raw_data): return 1\n")),
    Case("init that raises", script("def init():\n    raise ValueError('no weights')\ndef run(raw_data): return 1\n"), logged=("ValueError: no weights", "score.py", "line 2")),
    Case("init that exits", script("import sys\ndef init(): sys.exit('no licence')\ndef run(raw_data): return 1\n")),
    Case("a file that init needs is not there", script("def init(): open('none.pkl')\ndef run(raw_data): return 1\n"), logged=("none.pkl",)),
    Case("an error of syntax", script("def init(): pass\ndef run(raw_data) return 1\n"), logged=("SyntaxError",)),
    Case("an exit while it is imported", script("import sys\nsys.exit(0)\n" + ECHO)),
    Case("a package that is not installed", script("import no_such_package\n" + ECHO), logged=("no_such_package",)),
    Case("no such script", script(ECHO), entry="other.py"),
    Case("a swagger file that is no JSON", script(ECHO) | {"swagger2.json": "{"}),
    Case("an empty script", script("")),
)  # fmt: skip

ERRORS = (
    Case(
        "exceptions in run",
        script(
            """
            import json, sys
            def init(): pass
            class Own(Exception): pass
            class Base(BaseException): pass
            def deep(n): return deep(n + 1)
            def run(raw_data):
                kind = json.loads(raw_data)
                if kind == "value":
                    raise ValueError("boom in run")
                if kind == "own":
                    raise Own("own")
                if kind == "timeout":
                    raise TimeoutError("a database did not answer")
                if kind == "http":
                    from werkzeug.exceptions import NotFound
                    raise NotFound("no such thing")
                if kind == "recursion":
                    return deep(0)
                if kind == "stop":
                    raise StopIteration
                if kind == "memory":
                    raise MemoryError
                if kind == "assert":
                    assert False, "never"
                if kind == "system":
                    raise SystemError("inner")
                if kind == "exit":
                    sys.exit(3)
                if kind == "base":
                    raise Base("base")
                return {"good": kind}
            """
        ),
        (
            *(post(kind, f'"{kind}"') for kind in ("value", "own", "http", "recursion", "stop", "memory", "assert", "system")),
            *(post(kind, f'"{kind}"') for kind in ("timeout", "after", "exit", "base")),
            post("a body that json.loads refuses", "{"),
        ),
        logged=("ValueError: boom in run", 'score.py", line 9, in run', "Own: own", "StopIteration"),
    ),
    Case(
        "SCORING_TIMEOUT_MS",
        script(INIT + "import time\ndef run(raw_data):\n    if raw_data == '1':\n        time.sleep(30)\n    return raw_data\n"),
        (post("in time", "0"), post("too slow", "1"), post("after", "0")),
        variables={"SCORING_TIMEOUT_MS": "300"},
    ),
    Case(
        "identities of a request",
        script(ECHO),
        (
            post("given", headers={**JSON, "x-request-id": "mine", "TraceId": "t-1"}, shown=("x-request-id", "traceid")),
            post("client's", headers={**JSON, "x-ms-client-request-id": "c-1"}, shown=("x-ms-client-request-id",)),
            post("x-ms-request-id", headers={**JSON, "x-ms-request-id": "m-1"}, shown=("x-ms-request-id",)),
            post("too long", headers={**JSON, "x-request-id": "x" * 101}),
        ),
    ),
    Case(
        "config.json of the script's own",
        script(INIT + "import json\ndef run(raw_data): return json.load(open('config.json'))\n") | {"config.json": '{"threshold": 1}'},
        (post("once"),),
    ),
)  # fmt: skip

ALL: tuple[Case, ...] = (*BODIES, RESULTS, *SURROUNDINGS, *ARGUMENTS, *REFUSED, *ERRORS)
