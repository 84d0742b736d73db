"""The peers' environments are whole, and made once."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import peer_environments

pytestmark = pytest.mark.slow


def test_the_peers_are_the_pinned_ones(azureml_python: Path, mlflow_python: Path) -> None:
    for python, package, version in (
        (azureml_python, "azureml-inference-server-http", "1.5.1"),
        (mlflow_python, "mlflow", "3.17.2"),
    ):
        code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
        assert subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == version


def test_two_that_ask_at_once_make_one_and_what_is_half_made_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSML_PEERS", str(tmp_path))
    monkeypatch.setattr(peer_environments, "HERE", tmp_path)
    (tmp_path / "none.txt").write_text("")
    built = []
    build = peer_environments._build
    monkeypatch.setattr(peer_environments, "_build", lambda *given: (built.append(given), build(*given)))
    python = peer_environments.python_of("none")
    place = python.parent.parent
    (place / "whole").unlink()  # as a kill leaves it
    (place / "half").touch()
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(peer_environments.python_of("none"))) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [python, python]
    assert len(built) == 2
    assert not (place / "half").exists()
