"""A scoring script in a host of its own: its variables, its files, and what is left in this process (nothing)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from opsml_cli.local.pipelines.snapshot import hash_path
from opsml_cli.local.serving.hosting.copies import Source
from opsml_cli.local.serving.hosting.process import HostFailedError, HostGoneError, HostTimeoutError
from opsml_cli.local.serving.hosting.session import open_host


def script(folder: Path, text: str) -> Source:
    """A registered script without a model."""
    code = folder / "code"
    code.mkdir(parents=True)
    (code / "score.py").write_text(text)
    return Source(code=code, code_sha256=hash_path(code), entry="score.py")


def test_a_script_finds_its_variables_whenever_it_looks_and_this_process_has_none_of_them(tmp_path: Path) -> None:
    text = """
import os
print("at import", os.environ["UNIT"])
def init():
    os.environ["OF_THE_SCRIPT"] = "1"
def run(body):
    names = ("UNIT", "OF_THE_SCRIPT", "AML_APP_ROOT", "AZUREML_ENTRY_SCRIPT")
    return [os.environ[name] for name in names] + [os.getcwd()]
"""
    before, path, lines = dict(os.environ), list(sys.path), []
    source = script(tmp_path, text)
    with open_host(tmp_path, source, lambda *line: lines.append(line), environment={"UNIT": "cm"}) as host:
        unit, own, root, entry, working = host.send(b"[]").body.decode().strip('[]"').split('", "')
        assert (unit, own, entry, working) == ("cm", "1", "score.py", root)
        assert Path(root).is_dir() and Path(root) != source.code
    assert not Path(root).exists()
    assert ("info", "at import cm") in lines
    assert dict(os.environ) == before
    assert sys.path == path


def test_what_a_script_writes_beside_itself_changes_nothing_that_is_registered(tmp_path: Path) -> None:
    text = "import os\ndef init(): open('state.txt', 'x').close()\ndef run(body): return os.path.exists('state.txt')"
    source = script(tmp_path, text)
    for _ in range(2):
        with open_host(tmp_path, source, lambda *_: None) as host:
            assert host.send(b"").body == b"true"
    assert source.code is not None
    assert [path.name for path in source.code.iterdir()] == ["score.py"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def init(): raise ValueError('no weights')\ndef run(x): pass", "ValueError: no weights"),
        ("import sys\ndef init(): sys.exit('no licence')\ndef run(x): pass", "no licence"),
        ("import os\ndef init(): os.abort()\ndef run(x): pass", "Fatal Python error: Aborted"),
        ("import os\ndef init(): os._exit(3)\ndef run(x): pass", "exit code 3"),
    ],
)
def test_a_script_that_does_not_start_says_why(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(HostFailedError, match=reason), open_host(tmp_path, script(tmp_path, text), lambda *_: None):
        pass
    assert list((tmp_path / "hosts" / "work").iterdir()) == []


def test_only_the_process_that_was_asked_answers(tmp_path: Path) -> None:
    """A child that the script forked and that comes back from run() is ended, not heard."""
    text = (
        "import os, time\ndef init(): pass\ndef run(x):\n"
        "    if x != 'fork': return x\n"
        "    child = os.fork() == 0\n"
        "    time.sleep(0 if child else 0.3)\n"
        "    return 'child' if child else 'parent'"
    )
    with open_host(tmp_path, script(tmp_path, text), lambda *_: None) as host:
        assert [host.send(each).body for each in (b"fork", b"a", b"b", b"fork", b"c")] == [
            b'"parent"', b'"a"', b'"b"', b'"parent"', b'"c"'
        ]  # fmt: skip


def test_a_process_that_ends_or_hangs_is_an_error_of_its_own(tmp_path: Path) -> None:
    text = "import os, time\ndef init(): pass\ndef run(x): os._exit(7) if x == 'end' else time.sleep(600)"
    source = script(tmp_path, text)
    with open_host(tmp_path, source, lambda *_: None) as host, pytest.raises(HostGoneError, match="exit code 7"):
        host.send(b"end")
    with open_host(tmp_path, source, lambda *_: None) as host, pytest.raises(HostTimeoutError):
        host.send(b"hang", seconds=0.2)
