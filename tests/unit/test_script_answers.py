"""How a script is refused and answered, without the server that it is compared with in tests/peers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opsml_cli.local.pipelines.snapshot import hash_path
from opsml_cli.local.serving.host import missing
from opsml_cli.local.serving.host.exchange import HostRequest
from opsml_cli.local.serving.hosting.copies import Source
from opsml_cli.local.serving.hosting.process import HostFailedError
from opsml_cli.local.serving.hosting.session import open_host

INIT = "def init(): pass\n"


def source(folder: Path, files: dict[str, str], entry: str = "score.py") -> Source:
    code = folder / "code"
    for name, text in files.items():
        (code / name).parent.mkdir(parents=True, exist_ok=True)
        (code / name).write_text(text)
    return Source(code=code, code_sha256=hash_path(code), entry=entry)


@pytest.mark.parametrize(
    ("files", "entry", "words"),
    [
        ({"score.py": "def run(x): return 1"}, "score.py", ["no function init()", "Azure's server needs"]),
        ({"score.py": INIT + "def run(*x): return 1"}, "score.py", ["*args"]),
        ({"score.py": "import inference_schema\n"}, "score.py", ["inference_schema", "-m pip install inference-schema"]),
        ({"score.py": "def init():\n    import no_such_thing\ndef run(x): pass"}, "score.py", ["init()", "no-such-thing"]),
        ({"app/score.py": "import beside\n", "app/beside.py": ""}, "app/score.py", ["from app import beside"]),
        ({"score.py": INIT + "def run(x): return 1\n", "swagger3.json": "[1"}, "score.py", ["swagger3.json", "line 1"]),
        ({"score.py": "x = 1\nraise KeyError('weights')\n"}, "score.py", ["KeyError", "score.py, line 2"]),
    ],
    ids=["no-init", "arguments", "package", "package-in-init", "sibling", "swagger", "raises"],
)
def test_a_script_is_refused_with_what_would_mend_it(
    tmp_path: Path, files: dict[str, str], entry: str, words: list[str]
) -> None:
    with pytest.raises(HostFailedError) as failed, open_host(tmp_path, source(tmp_path, files, entry), lambda *_: None):
        pass
    for word in words:
        assert word in str(failed.value)


def test_a_script_gets_its_arguments_and_its_exceptions_are_in_the_log(tmp_path: Path) -> None:
    text = """
import json, os
def init(): pass
def run(raw_data, request_headers):
    if raw_data == '"none"':
        return None
    return [json.loads(raw_data), request_headers.get("X-One"), os.environ["UNIT"]]
"""
    lines: list[tuple[str, str]] = []
    found = source(tmp_path, {"score.py": text})
    with open_host(tmp_path, found, lambda *line: lines.append(line), environment={"UNIT": "cm"}) as host:
        reply = host.send(b'{"a": 1}', headers=(("x-one", "1"), ("traceid", "t")))
        assert (reply.status, json.loads(reply.body)) == (200, [{"a": 1}, "1", "cm"])
        assert dict(reply.headers)["TraceId"] == "t"
        asked = host.process.ask(HostRequest("GET", "/score", "a=1&b=[2]&b=x", (), b""), 60)
        assert json.loads(asked.body)[0] == {"a": 1, "b": [[2], "x"]}
        assert host.send(b'"none"').body == b"{}"
        failed = host.send(b"{")
        assert (failed.status, dict(failed.headers)["x-ms-run-function-failed"]) == (500, "True")
        assert host.process.ask(HostRequest("PUT", "/score", "", (), b""), 60).status == 405
        assert host.send(b'"after"').status == 200
    logged = next(message for level, message in lines if level == "error")
    assert "JSONDecodeError" in logged
    assert 'score.py", line 7, in run' in logged


def test_what_works_here_alone_is_noted(tmp_path: Path) -> None:
    files = {"score.py": "import utils\n" + INIT + "def run(x): return utils.one\n", "utils.py": "one = 1\n"}
    with open_host(tmp_path, source(tmp_path, files), lambda *_: None) as host:
        assert ["utils" in note for note in host.description.notes] == [True]


def test_the_package_of_a_module_is_named_as_it_is_installed() -> None:
    assert missing.package_of("sklearn.linear_model") == "scikit-learn"
    assert missing.package_of("azureml.contrib.services.aml_request") == "azureml-contrib-services"
    assert missing.package_of("my_own.thing") == "my-own"
