"""Scripts that look at what is around them: files, variables, modules, threads, output."""

from __future__ import annotations

from script_case import ECHO, INIT, Case, post, script

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
