"""Scoring scripts and requests that Azure's server and opsml are both given: as users write them, and odder."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent

JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Send:
    """One request. `shown` are response headers to compare beside those that are always compared."""

    name: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: JSON)
    method: str = "POST"
    query: str = ""
    path: str = "/score"
    shown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """A folder of code with its requests. Without requests: whether it starts is what is compared. `logged`: what both logs
    must hold in the end. `model` are the files below AZUREML_MODEL_DIR; `packages` what the case is about beyond Python."""

    name: str
    files: dict[str, str | bytes]
    sends: tuple[Send, ...] = ()
    entry: str = "score.py"
    variables: dict[str, str] = field(default_factory=dict)
    model: dict[str, str] = field(default_factory=dict)
    logged: tuple[str, ...] = ()


def post(name: str, body: str | bytes = "{}", **options: object) -> Send:
    return Send(name, body.encode() if isinstance(body, str) else body, **options)  # type: ignore[arg-type]


def get(query: str = "", name: str = "", **options: object) -> Send:
    return Send(name or f"GET ?{query}", b"", {}, "GET", query, **options)  # type: ignore[arg-type]


def media(kind: str, body: bytes = b"a,b\n1,2\n") -> Send:
    return Send(kind, body, {"content-type": kind})


def script(text: str, name: str = "score.py", **others: str | bytes) -> dict[str, str | bytes]:
    return {name: dedent(text).lstrip()} | {key.replace("__", "/") + ".py": value for key, value in others.items()}


INIT = "def init(): pass\n"
ECHO = INIT + "def run(raw_data): return {'text': raw_data, 'type': type(raw_data).__name__}\n"
FORM = b"a=1&b=%C3%A9"
MULTIPART = b'--xyz\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nhello\r\n--xyz--\r\n'

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

SURROUNDINGS = (
    Case(
        "variables, model folder and current folder",
        script(
            """
            import os
            AT_IMPORT = os.environ.get("CUT_POINT")
            def init():
                global at_init, weights
                at_init = os.environ.get("CUT_POINT")
                weights = open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "weights.txt")).read()
            def run(raw_data):
                with open("words.txt") as file:
                    words = file.read()
                with open(os.path.join(os.path.dirname(__file__), "words.txt")) as file:
                    same = file.read() == words
                return {
                    "import": AT_IMPORT, "init": at_init, "run": os.environ["CUT_POINT"], "empty": os.environ["EMPTY"],
                    "weights": weights, "model": sorted(os.listdir(os.environ["AZUREML_MODEL_DIR"])), "words": words, "same": same,
                    "again": open(os.environ["AZUREML_MODEL_DIR"] + "/weights.txt").read(), "absolute": os.path.isabs(__file__),
                    "name": __name__, "file": os.path.basename(__file__), "listed": __name__ in __import__("sys").modules,
                }
            """
        )
        | {"words.txt": "of the code folder"},
        (post("once"), post("twice")),
        variables={"CUT_POINT": "0.7", "EMPTY": ""},
        model={"weights.txt": "w = 3", "deeper/more.txt": ""},
    ),
    Case(
        "imports inside run",
        script(
            INIT
            + "def run(raw_data):\n    import helper\n    from package.inner import value\n    return [helper.times(2), value]\n",
            helper="def times(n): return n * 21\n",
            package____init__="",
            package__inner="from helper import times\nvalue = times(1)\n",
        ),
        (post("once"), post("twice")),
    ),
    Case(
        "a script below the code root imports from the root",
        {
            "app/score.py": "from shared.numbers import seven\n" + INIT + "def run(raw_data): return seven\n",
            "shared/__init__.py": "",
            "shared/numbers.py": "seven = 7\n",
        },
        (post("once"),),
        entry="app/score.py",
    ),
    Case(
        "a script below the code root finds no module beside itself",
        {"app/score.py": "import sibling\n" + INIT + "def run(raw_data): return 1\n", "app/sibling.py": ""},
        entry="app/score.py",
    ),
    Case(
        "a script below the code root imports its own package",
        {
            "app/__init__.py": "",
            "app/score.py": "from app.sibling import one\n" + INIT + "def run(raw_data): return one\n",
            "app/sibling.py": "one = 1\n",
        },
        (post("once"),),
        entry="app/score.py",
    ),
    Case(
        "a relative import",
        {"score.py": "from .helper import one\n" + INIT + "def run(raw_data): return one\n", "helper.py": "one = 1\n"},
    ),
    Case(
        "modules with names of the server's own",
        script(
            "import config, routes, utils, server, main\n"
            + INIT
            + "def run(raw_data): return [config.me, routes.me, utils.me, server.me, main.me]\n",
            config="me = 'config'\n",
            routes="me = 'routes'\n",
            utils="me = 'utils'\n",
            server="me = 'server'\n",
            main="me = 'main'\n",
        ),
        (post("once"),),
    ),
    Case(
        "a module of the standard library's name",
        script(
            "def init(): pass\ndef run(raw_data):\n    import colorsys\n    return getattr(colorsys, 'mine', 'standard')\n",
            colorsys="mine = 'mine'\n",
        ),
        (post("once"),),
    ),
    Case(
        "the script imports itself by name",
        script(
            INIT
            + "state = []\ndef run(raw_data):\n    import score\n    score.state.append(1)\n    return [len(state), len(score.state)]\n"
        ),
        (post("once"), post("twice")),
    ),
    Case("a name with dashes and blanks", script(ECHO, "score v2-é.py"), (post("once"),), entry="score v2-é.py"),
    Case("a script that is no Python file by name", script(ECHO, "score.txt"), entry="score.txt"),
    Case(
        "state, threads and files beside the script",
        script(
            """
            import pathlib, threading
            HERE = pathlib.Path(__file__).parent
            def init():
                global count
                count = 0
                (HERE / "started.txt").write_text("yes")
            def run(raw_data):
                global count
                thread = threading.Thread(target=add)
                thread.start()
                thread.join()
                (HERE / "log").mkdir(exist_ok=True)
                (HERE / "log" / f"{count}.txt").write_text(raw_data)
                return [count, sorted(each.name for each in (HERE / "log").iterdir()), (HERE / "started.txt").read_text()]
            def add():
                global count
                count += 1
            """
        ),
        (post("once"), post("twice"), post("three times")),
    ),
    Case(
        "a script that changes the process",
        script(
            """
            import builtins, json, os, sys, logging, warnings, signal
            def init():
                os.makedirs("elsewhere", exist_ok=True)
                os.chdir("elsewhere")
                os.environ["MADE"] = "here"
                sys.path.insert(0, "/nowhere")
                logging.basicConfig(level=logging.DEBUG, force=True)
                warnings.simplefilter("error")
                sys.setrecursionlimit(5000)
            def run(raw_data):
                logging.getLogger("mine").debug("quiet")
                return [os.path.basename(os.getcwd()), os.environ["MADE"], sys.path[0], sys.getrecursionlimit()]
            """
        ),
        (post("once"), post("twice")),
    ),
    Case(
        "a script that writes to its streams",
        script(
            """
            import logging, sys
            def init():
                print("from init")
            def run(raw_data):
                print("from run", raw_data, flush=True)
                sys.stdout.write("written to stdout\\n")
                sys.stderr.write("written to stderr\\n")
                logging.getLogger("my.logger").warning("a warning of %s", "mine")
                return 1
            """
        ),
        (post("once", '"x1"'), post("twice", '"x2"')),
        logged=("from init", 'from run "x1"', 'from run "x2"', "written to stdout", "written to stderr", "a warning of mine"),
    ),
    Case(
        "a scikit-learn model in the model folder",
        script(
            """
            import json, os, joblib, numpy
            from sklearn.linear_model import LinearRegression
            def init():
                global model
                place = os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib")
                joblib.dump(LinearRegression().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]), place)
                model = joblib.load(place)
            def run(raw_data):
                return numpy.round(model.predict(json.loads(raw_data)["data"]), 6).tolist()
            """
        ),
        (
            post("two rows", '{"data": [[3], [4]]}'),
            post("a missing name", '{"rows": []}'),
            post("a wrong shape", '{"data": [1]}'),
        ),
        model={"weights.txt": ""},
    ),
    Case(
        "classes of the script: dataclass, pickle, enum",
        script(
            """
            from dataclasses import dataclass
            import enum, pickle, typing
            @dataclass
            class Row:
                age: int
            class Kind(enum.Enum):
                A = "a"
            class Pair(typing.NamedTuple):
                x: int
                y: int
            def init(): pass
            def run(raw_data):
                if raw_data == '"pickle"':
                    return pickle.loads(pickle.dumps(Row(3))).age
                return [Row(3).age, Kind("a").name, Pair(1, 2)]
            """
        ),
        (post("used", '"use"'), post("pickled", '"pickle"')),
    ),
    Case(
        "a dataclass with postponed annotations",
        script(
            "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Row:\n    age: int\n"
            + ECHO
        ),
        (post("once"),),
    ),
    Case(
        "a driver module",
        script(
            "import inner as driver_module\ndef init(): driver_module.factor = 5\ndef run(raw_data): return 'the driver'\n",
            inner="factor = 1\ndef run(data): return [data, factor]\n",
        ),
        (post("once"),),
    ),
)

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
