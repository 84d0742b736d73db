"""How a scoring script is loaded beside the server's other threads."""

from __future__ import annotations

import importlib
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType

import pytest

from opsml_cli.local.endpoint_records import Release, Script
from opsml_cli.local.pipelines.snapshot import hash_path
from opsml_cli.local.serving import script


class _Ends:
    """An entry of the search path; when a search comes by, what is open ends, as it might in another thread."""

    def __init__(self) -> None:
        self.open = ExitStack()

    def find_spec(self, name: str, target: ModuleType | None = None) -> None:
        self.open.close()


def test_a_search_that_goes_on_while_a_script_has_loaded_misses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "found_all_the_same.py").write_text("value = 3")
    ends, entry = _Ends(), "/ends"
    monkeypatch.setitem(sys.path_importer_cache, entry, ends)
    monkeypatch.setattr(sys, "path", [*sys.path, entry, str(tmp_path)])
    before = list(sys.path)
    ends.open.enter_context(script._importing(tmp_path / "src"))
    assert sys.path == [str(tmp_path / "src"), *before]
    assert importlib.import_module("found_all_the_same").value == 3
    assert sys.path == before


def test_a_script_finds_its_variables_while_it_loads_and_leaves_none(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "score.py").write_text(
        """
import os
unit = os.environ["UNIT"]
os.environ["OF_THE_SCRIPT"] = "1"
del os.environ["PATH"]
def run(body): return unit
"""
    )
    found = Script("score.py", hash_path(code), "")
    code.rename(tmp_path / "new")
    code.mkdir()
    (tmp_path / "new").rename(found.folder(tmp_path))
    release = Release("1", "", "", "", "", own=False, script=found, environment={"UNIT": "cm"})
    before = dict(os.environ)
    assert script.load(tmp_path, release).answer(b"") == b'"cm"'
    assert dict(os.environ) == before
