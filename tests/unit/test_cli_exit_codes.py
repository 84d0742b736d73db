"""Every exit code of the contract, and the one place where errors become one."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROBE = str(Path(__file__).with_name("cli_probe.py"))
CODES = {
    "unexpected": 1, "usage": 2, "configuration": 2, "unsupported": 2, "not_found": 3, "not_allowed": 4, "not_signed_in": 4,
    "conflict": 5, "busy": 5, "quota": 6, "invalid_input": 7, "contract": 7, "not_finished": 8, "work_failed": 9, "gate": 10,
    "interrupted": 130, "terminated": 143,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "expected"), CODES.items())
def test_errors_exit_with_their_code_and_are_json_on_stderr(probe, kind, expected) -> None:
    code, out, err = probe("probe", "fail", kind, "-o", "json")
    assert (code, out) == (expected, "")
    error = json.loads(err)
    assert error == {
        "error": {
            "code": kind, "message": "bank is missing", "cause": "nobody made it", "fix": "opsml data list",
            "retryable": kind in ("busy", "not_finished"),
        }
    }  # fmt: skip


def test_done_is_0(probe) -> None:
    assert probe("probe", "value", "figures").exit_code == 0


def test_a_person_reads_what_happened_why_and_what_to_do(probe) -> None:
    code, out, err = probe("probe", "fail", "not_found")
    assert (code, out) == (3, "")
    assert err == "error: bank is missing\n  cause: nobody made it\n  fix: opsml data list\n"


def test_a_verdict_shows_its_document_and_exits_with_its_error(probe) -> None:
    code, out, err = probe("probe", "value", "verdict", "-o", "json")
    assert code == 7
    assert json.loads(out) == {"ok": False}
    assert json.loads(err)["error"]["code"] == "contract"


@pytest.mark.parametrize(
    ("kind", "expected", "code"),
    [
        ("memory", 6, "quota"), ("ENOSPC", 6, "quota"), ("EACCES", 4, "not_allowed"), ("interrupt", 130, "interrupted"),
        ("value", 1, "unexpected"), ("recursion", 1, "unexpected"),
    ],
)  # fmt: skip
def test_what_no_command_should_raise_is_told_too(probe, kind, expected, code) -> None:
    exit_code, out, err = probe("probe", "crash", kind, "-o", "json")
    assert (exit_code, out) == (expected, "")
    assert json.loads(err)["error"]["code"] == code
    assert "Traceback" not in err


def test_the_unexpected_is_one_line_and_the_rest_is_in_a_log(probe, clean_environment) -> None:
    _, _, err = probe("probe", "crash", "value")
    assert "Traceback" not in err
    path = Path(err.rpartition(" is in ")[2].strip())
    assert path.is_relative_to(clean_environment["HOME"])
    assert "ValueError: boom" in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_debug_shows_the_traceback_and_says_where_the_log_is(probe) -> None:
    code, out, err = probe("--debug", "probe", "crash", "value")
    assert (code, out) == (1, "")
    assert err.startswith("debug log: ")
    assert "Traceback" in err


def _wait_for(path: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while text not in (path.read_text() if path.exists() else ""):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "expected", "code"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_signals(tmp_path, clean_environment, number, expected, code) -> None:
    err = tmp_path / "err"
    with err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, PROBE, "probe", "wait", "-o", "json"],
            env=clean_environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=stderr,
        )  # fmt: skip
        _wait_for(err, "ready", process)
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (expected, b"")
    error = json.loads(err.read_text().splitlines()[-1])["error"]
    assert error["code"] == code
    if number == signal.SIGINT:
        assert "continues" in error["message"]


# --- usage errors of the parser


@pytest.mark.parametrize(
    "arguments",
    [
        ("probe", "echo", "--nope", "-o", "json"),
        ("-o", "json", "probe", "echo", "--nope"),
        ("probe", "-o", "json", "echo", "--nope"),
        ("probe", "echo", "-ojson", "--number", "x"),
        ("probe", "echo", "--number", "x", "--output=json"),
        ("probe", "fail", "-o", "json"),
        ("probe", "echo", "--tag", "-o", "json", "--nope", "-o", "json"),
        ("dta", "list", "-o", "json"),
        ("probe", "nope", "-o", "json"),
        ("probe", "-o", "json"),
        ("-o", "json"),
        ("probe", "echo", "-o", "json", "--query", "["),
        ("probe", "echo", "-o", "json", "--query", "nope(@)"),
        ("probe", "echo", "-o", "json", "-w"),
    ],
)
def test_usage_errors_are_json_wherever_o_json_stands(probe, arguments) -> None:
    code, out, err = probe(*arguments)
    assert (code, out) == (2, "")
    assert json.loads(err)["error"]["code"] == "usage"


@pytest.mark.parametrize(
    "arguments",
    [("probe", "echo", "--nope", "--", "-o", "json"), ("probe", "echo", "--tag", "-o", "json", "--nope"), ("--nope",)],
)
def test_what_is_no_option_does_not_choose_the_format(probe, arguments) -> None:
    code, out, err = probe(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def test_typos_get_a_suggestion(probe) -> None:
    assert "did you mean 'opsml data'?" in probe("dta").stderr
    assert "did you mean 'opsml endpoints show'?" in probe("endpoints", "shwo").stderr
    assert "did you mean --number?" in probe("probe", "echo", "--numbr", "3").stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("-o", "xml", "probe", "echo"),
        ("probe", "echo", "--query", "a"),
        ("probe", "echo", "-w", "nope", "-o", "none", "--query", "a"),
    ],
)
def test_output_options_are_refused_before_any_work(probe, arguments) -> None:
    code, out, err = probe(*arguments)
    assert (code, out) == (2, "")
    assert "words" not in err


# --- asking


def test_nobody_is_asked_without_a_terminal(probe) -> None:
    code, out, err = probe("probe", "remove", stdin="y\n")
    assert (code, out) == (2, "")
    assert "--yes" in err
    assert probe("probe", "remove", "--yes").exit_code == 0


def test_a_missing_value_names_flag_and_variable(probe) -> None:
    code, _, err = probe("probe", "need")
    assert code == 2
    assert "--name" in err
    assert "OPSML_NAME" in err


def _on_terminal(arguments, environment, folder, answer: bytes) -> tuple[int, bytes]:
    """Run with a terminal on all three streams."""
    pty = pytest.importorskip("pty", reason="terminals of POSIX")
    main, side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, PROBE, *arguments],
        env=environment,
        cwd=folder,
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,
    )
    os.close(side)
    os.write(main, answer)
    seen = b""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([main], [], [], 0.1)[0]:
            try:
                more = os.read(main, 65536)
            except OSError:
                break
            if not more:
                break
            seen += more
        elif process.poll() is not None:
            break
    process.wait(10)
    os.close(main)
    return process.returncode, seen


def test_on_a_terminal_the_person_is_asked(tmp_path, clean_environment) -> None:
    assert _on_terminal(["probe", "remove"], clean_environment, tmp_path, b"y\n")[0] == 0
    assert _on_terminal(["probe", "remove"], clean_environment, tmp_path, b"n\n")[0] == 2
    for arguments, extra in ((["probe", "remove", "--no-input"], {}), (["probe", "remove"], {"CI": "true"})):
        code, seen = _on_terminal(arguments, clean_environment | extra, tmp_path, b"y\n")
        assert code == 2
        assert b"[y/N]" not in seen


def test_colours_are_for_terminals_that_want_them(tmp_path, clean_environment) -> None:
    assert b"\x1b[" in _on_terminal(["probe", "value", "rows"], clean_environment, tmp_path, b"")[1]
    for arguments, extra in (
        (["probe", "value", "rows", "--no-color"], {}),
        (["probe", "value", "rows"], {"NO_COLOR": "1"}),
        (["probe", "value", "rows"], {"TERM": "dumb"}),
        (["probe", "value", "rows", "-o", "json"], {}),
        (["probe", "progress", "--no-color"], {}),
    ):
        assert b"\x1b" not in _on_terminal(arguments, clean_environment | extra, tmp_path, b"")[1]


def test_progress_on_a_terminal_is_live_and_leaves_the_result(tmp_path, clean_environment) -> None:
    code, seen = _on_terminal(["probe", "progress"], clean_environment, tmp_path, b"")
    assert code == 0
    assert b"a note" in seen
    assert b'"done": true' in seen
