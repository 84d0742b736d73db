"""Completion answers from the table, in the words of each shell."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.cli import completion


def _values(*words: str) -> list[str]:
    return [value for value, _ in completion.candidates(list(words))]


def test_words() -> None:
    assert "data" in _values("")
    assert _values("data", "re") == ["register"]
    assert _values("-o", "json", "data", "re") == ["register"]
    assert _values("data", "-w", "list", "re") == ["register"]
    assert _values("nope", "") == []
    assert _values("config", "show", "") == []


def test_options_and_their_values() -> None:
    assert _values("data", "-o", "j") == ["json", "jsonl"]
    assert _values("data", "--output=j") == ["--output=json", "--output=jsonl"]
    assert "--query" in _values("data", "list", "--q")
    assert "--version" in _values("--v")
    assert "--yes" in _values("init", "--y")
    assert "--version" not in _values("init", "--v")
    assert _values("init", "--", "--y") == []


@given(st.lists(st.sampled_from(["data", "list", "-o", "json", "--", "", "-", "--x=y", "ü"]), max_size=6))
def test_any_words_are_answered(words) -> None:
    completion.candidates(words)


@pytest.mark.parametrize(
    ("shell", "line"), [("bash", "register"), ("zsh", "register:Register data"), ("fish", "register\tRegister data")]
)
def test_each_shell_gets_its_form(opsml, shell, line) -> None:
    code, out, err = opsml("data", "re", env={"_OPSML_COMPLETE": shell})
    assert (code, err) == (0, "")
    assert out.startswith(line)
    code, script, _ = opsml("--show-completion", shell)
    assert code == 0
    assert f"_OPSML_COMPLETE={shell}" in script or f"_OPSML_COMPLETE {shell}" in script


def test_bash_completes_with_the_script(opsml, tmp_path, clean_environment) -> None:
    place = tmp_path / "bin"
    place.mkdir()
    program = place / "opsml"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m opsml_cli "$@"\n')
    program.chmod(0o755)
    lines = """
        eval "$(opsml --show-completion bash)"
        COMP_WORDS=(opsml data li); COMP_CWORD=2; _opsml_completion opsml; echo "${COMPREPLY[@]}"
    """
    environment = clean_environment | {"PATH": f"{place}:{clean_environment['PATH']}"}
    done = subprocess.run(["bash", "-c", lines], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "list\n"


def test_installing_twice_changes_nothing_more(opsml, clean_environment) -> None:
    from pathlib import Path

    rc = Path(clean_environment["HOME"]) / ".bashrc"
    rc.write_text("alias ll=ls")
    assert opsml("--install-completion", "bash").exit_code == 0
    once = rc.read_text()
    assert once.startswith("alias ll=ls\nsource ")
    assert opsml("--install-completion", "bash").exit_code == 0
    assert rc.read_text() == once
    assert opsml("--install-completion", "tcsh").exit_code == 2
