"""Commands of steps: no value becomes code, secrets stay out, limits hold."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsml_cli.local.pipelines.bindings import parse
from opsml_cli.local.pipelines.command_step import (
    CommandError,
    child_environment,
    last_lines,
    render_command,
    run_command,
    shell,
)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)
HOSTILE = st.sampled_from(
    ["$(touch evil)", "`touch evil`", "'; touch evil; '", '"; touch evil; "', "a\n touch evil", "${HOME}", "\\", "*", "~", "-n"]
)


@pytest.mark.parametrize(
    "template",
    [
        "printf %s ${{inputs.x}}",
        'printf %s "${{inputs.x}}"',
        "printf %s '${{inputs.x}}'",
        'printf %s "a"${{inputs.x}}',
        'echo "it\'s" >/dev/null; printf %s ${{inputs.x}}',
        "# don't\nprintf %s ${{inputs.x}}",
        'printf %s "$(printf %s "${{inputs.x}}")"',
    ],
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.one_of(HOSTILE, VALUES))
def test_a_value_arrives_as_it_is_whatever_quotes_stand_around_it(template: str, value: str, tmp_path: Path) -> None:
    command, variables = render_command(parse(template), lambda reference: value)
    done = subprocess.run(
        shell(command), env={"PATH": os.environ["PATH"], **variables}, cwd=tmp_path, capture_output=True, check=True
    )
    shown = done.stdout.decode("utf-8", "surrogateescape")
    expected = ("a" if '"a"$' in template else "") + value
    # A shell's own $(…) drops line breaks at the end.
    assert shown == (expected.rstrip("\n") if "$(printf" in template else expected)
    assert not (tmp_path / "evil").exists()


def test_plain_values_stand_in_the_text_as_on_azure() -> None:
    command, variables = render_command(
        parse("run --n ${{inputs.n}} $[[--m ${{inputs.m}}]]"), lambda r: "3" if r.name == "n" else None
    )
    assert command == "run --n 3 "
    assert variables == {}


def test_a_here_document_takes_plain_values_only() -> None:
    template = parse("cat <<EOF\n${{inputs.x}}\nEOF")
    assert render_command(template, lambda reference: "plain")[0] == "cat <<EOF\nplain\nEOF"
    with pytest.raises(CommandError, match="here-document"):
        render_command(template, lambda reference: "$(id)")


def test_secrets_of_this_process_stay_out_of_a_step() -> None:
    names = (
        "OPSML_TOKEN AZURE_CLIENT_SECRET GITHUB_TOKEN DB_PASSWORD MY_API_KEY STORAGE_CONNECTION_STRING SYSTEM_ACCESSTOKEN "
        "ACTIONS_ID_TOKEN_REQUEST_URL AWS_SECRET_ACCESS_KEY SSH_AUTH_SOCK"
    )
    secret = dict.fromkeys(names.split(), "canary")
    environment = child_environment({**secret, "PATH": "/usr/bin", "LANG": "C"}, {"GIVEN": "1"})
    assert "canary" not in environment.values()
    assert environment["LANG"] == "C"
    assert environment["GIVEN"] == "1"
    assert environment["PATH"].endswith("/usr/bin")


def ran(command: str, folder: Path, timeout: float | None = None, stop: bool = False) -> list[str]:
    said: list[str] = []
    run_command(
        command,
        {"PATH": os.environ["PATH"]},
        folder,
        folder / "log.txt",
        timeout=timeout,
        begun=lambda pid: None,
        say=said.append,
        stop=lambda: stop,
    )
    return said


def test_output_is_said_line_by_line_and_kept(tmp_path: Path) -> None:
    assert ran("echo one; echo two >&2; printf three", tmp_path) == ["one", "two", "three"]
    assert last_lines(tmp_path / "log.txt", 2) == "two | three"


def test_a_failure_says_the_code_and_the_last_lines(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"exit code 4; last log lines: gone wrong"):
        ran("echo gone wrong; exit 4", tmp_path)


def runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_a_limit_ends_the_command_and_its_children(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"limit of 2\.5 s"):
        ran("sleep 60 & echo $! > child; wait", tmp_path, timeout=2.5)  # a busy machine's shell needs its time
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 50
    while runs(child):
        assert time.monotonic() < deadline, "the command's child goes on after the limit"
        time.sleep(0.01)


def test_a_stop_ends_the_command(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="canceled"):
        ran("sleep 60", tmp_path, stop=True)


def test_a_command_whose_process_was_not_recorded_does_not_begin(tmp_path: Path) -> None:
    def begun(pid: int) -> None:
        raise LookupError(pid)

    with pytest.raises(LookupError) as caught:
        run_command("touch made", {"PATH": os.environ["PATH"]}, tmp_path, tmp_path / "log.txt",
                    timeout=None, begun=begun, say=print, stop=lambda: False)  # fmt: skip
    with pytest.raises(ProcessLookupError):
        os.kill(caught.value.args[0], 0)
    assert not (tmp_path / "made").exists()


def test_a_command_finds_nothing_to_read(tmp_path: Path) -> None:
    assert ran("cat; echo end", tmp_path) == ["end"]
