"""What goes to which stream, in which form."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.cli import formats, text
from opsml_cli.cli.query import compile_query
from opsml_cli.domain.errors import UsageError

PROBE = str(Path(__file__).with_name("cli_probe.py"))
KINDS = (
    "none",
    "text",
    "hostile",
    "hostile-text",
    "hostile-rows",
    "numbers",
    "unicode",
    "figures",
    "rows",
    "empty",
    "plan",
    "rich",
)
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")

trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("kind", KINDS)
def test_json_is_exactly_one_document(probe, kind) -> None:
    code, out, err = probe("probe", "value", kind, "-o", "json")
    assert (code, err) == (0, "")
    json.loads(out, parse_constant=pytest.fail)
    assert not CONTROL.search(out)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["table", "tsv", "yaml", "jsonl"])
def test_no_format_prints_a_control_character(probe, kind, form) -> None:
    code, out, _ = probe("probe", "value", kind, "-o", form)
    assert code == 0
    assert not CONTROL.search(out)


def test_none_prints_nothing(probe) -> None:
    assert probe("probe", "value", "rows", "-o", "none") == (0, "", "")


def test_lists_are_arrays_of_the_main_fields(probe) -> None:
    rows = [{"name": "bank", "auc": 0.95, "nested": {"a": 1}}, {"name": "wine", "auc": 0.5, "nested": {}}]
    assert json.loads(probe("probe", "value", "rows", "-o", "json").stdout) == rows
    assert [json.loads(line) for line in probe("probe", "value", "rows", "-o", "jsonl").stdout.splitlines()] == rows
    assert yaml.safe_load(probe("probe", "value", "rows", "-o", "yaml").stdout) == rows
    assert probe("probe", "value", "rows", "-o", "tsv").stdout == 'bank\t0.95\t{"a":1}\nwine\t0.5\t{}\n'


def test_an_empty_list(probe) -> None:
    assert json.loads(probe("probe", "value", "empty", "-o", "json").stdout) == []
    assert probe("probe", "value", "empty", "-o", "tsv").stdout == ""
    code, out, err = probe("probe", "value", "empty")
    assert (code, out) == (0, "")
    assert "nothing" in err


def test_tables_are_not_wrapped_off_a_terminal(probe) -> None:
    assert len(probe("probe", "value", "wide").stdout.splitlines()) == 2
    assert any(len(line) > 300 for line in probe("probe", "value", "rich").stdout.splitlines())


def test_streams_are_one_object_a_line_and_end_with_their_error(probe) -> None:
    code, out, _ = probe("probe", "stream", "3", "-o", "json")
    assert code == 0
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["n0", "n1", "n2"]
    code, out, err = probe("probe", "stream", "2", "--then", "fail", "-o", "json")
    assert code == 9
    assert len(out.splitlines()) == 2
    assert json.loads(err)["error"]["code"] == "work_failed"
    documents = list(yaml.safe_load_all(probe("probe", "stream", "2", "-o", "yaml").stdout))
    assert [document["name"] for document in documents] == ["n0", "n1"]
    assert probe("probe", "stream", "1", "-o", "tsv").stdout == "n0\t0.0\t{}\n"


def test_query(probe) -> None:
    assert json.loads(probe("probe", "value", "rows", "-o", "json", "--query", "[?auc > `0.6`].name").stdout) == ["bank"]
    assert probe("probe", "value", "rows", "-o", "tsv", "--query", "[].name").stdout == "bank\nwine\n"
    assert probe("probe", "value", "rows", "-o", "tsv", "--query", "[].[name, auc]").stdout == "bank\t0.95\nwine\t0.5\n"
    assert yaml.safe_load(probe("probe", "value", "figures", "-o", "yaml", "--query", "nested").stdout) == {"a": 1}
    code, out, _ = probe("probe", "value", "figures", "-o", "json", "--query", "length(auc)")
    assert (code, out) == (2, "")


@pytest.mark.parametrize(
    "environment", [{}, {"GITHUB_ACTIONS": "true"}, {"TF_BUILD": "True"}, {"NO_COLOR": "1"}, {"TERM": "dumb"}]
)
def test_no_escape_byte_off_a_terminal(probe, environment) -> None:
    for arguments in (
        ("value", "rows"),
        ("value", "rich"),
        ("progress",),
        ("fail", "gate"),
        ("echo", "--help"),
        ("echo", "--nope"),
    ):
        code, out, err = probe("probe", *arguments, env=environment)
        assert code in (0, 2, 10)
        assert "\x1b" not in out + err
    assert "\x1b" not in probe("--help", env=environment).stdout


def test_force_color_turns_colours_on_but_never_in_documents(probe) -> None:
    forced = {"FORCE_COLOR": "1"}
    assert "\x1b[" in probe("probe", "value", "rows", env=forced).stdout
    assert "\x1b[" in probe("probe", "fail", "gate", env=forced).stderr
    assert "\x1b" not in probe("probe", "value", "rows", "-o", "json", env=forced).stdout
    assert "\x1b" not in probe("--no-color", "probe", "value", "rows", env=forced).stdout


@pytest.mark.parametrize(
    "environment", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}]
)
@pytest.mark.parametrize("form", ["table", "json", "tsv", "yaml", "jsonl"])
def test_any_locale_works(tmp_path, clean_environment, environment, form) -> None:
    done = subprocess.run(
        [sys.executable, PROBE, "probe", "value", "unicode", "-o", form],
        env=clean_environment | environment, cwd=tmp_path, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    if form in ("json", "jsonl"):
        assert json.loads(done.stdout)["text"] == "Grüße, 世界 🙂"


def _shell(line: str, environment, folder) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line], env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_head_ends_quietly(tmp_path, clean_environment) -> None:
    for command in ("probe stream 200000 -o json", "probe value wide", "--help"):
        done = _shell(f"{sys.executable} {PROBE} {command} | head -1; echo ${{PIPESTATUS[0]}}", clean_environment, tmp_path)
        assert done.stderr == ""
        assert done.stdout.splitlines()[-1] == "0"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_an_error(tmp_path, clean_environment) -> None:
    done = _shell(f"{sys.executable} {PROBE} probe value rows > /dev/full", clean_environment, tmp_path)
    assert done.returncode == 6
    assert "no space left" in done.stderr


def test_closed_streams_are_no_crash(tmp_path, clean_environment) -> None:
    assert _shell(f"{sys.executable} {PROBE} probe value rows >&-", clean_environment, tmp_path).returncode == 0
    assert _shell(f"{sys.executable} {PROBE} probe fail gate 2>&-", clean_environment, tmp_path).returncode == 10


def test_only_data_is_on_stdout(probe) -> None:
    code, out, err = probe("probe", "progress", "-o", "json")
    assert code == 0
    assert json.loads(out) == {"done": True}
    assert "a note" in err
    assert "warning: a warning" in err


def test_progress_off_a_terminal_is_a_handful_of_lines(probe) -> None:
    lines = probe("probe", "progress").stderr.splitlines()
    assert len(lines) < 20
    assert "more" in " ".join(lines)
    assert probe("probe", "progress", "--quiet").stderr == ""


# --- properties


@given(trees)
def test_every_value_is_one_sound_json_document_and_ci_safe(value) -> None:
    plain = formats.plain(value)
    written = formats.to_json(plain, indent=2, ascii_only=False)
    assert json.loads(written) == plain
    defused = text.defuse_json(written)
    assert json.loads(defused) == plain
    assert not CONTROL.search(defused)


@given(trees)
def test_every_value_is_one_sound_yaml_document(value) -> None:
    plain = formats.plain(value)
    assert yaml.safe_load(formats.to_yaml(plain)) == plain


@given(st.lists(st.lists(trees, min_size=1, max_size=4), max_size=4))
def test_tsv_has_a_line_a_row_and_a_tab_between_cells(rows) -> None:
    plain = formats.plain(rows)
    lines = formats.to_tsv(formats.to_rows(plain)).split("\n")[:-1]
    assert [len(line.split("\t")) for line in lines] == [len(row) for row in plain]


def _runs_a_command(line: str) -> bool:
    """Whether a CI runner would: GitHub looks for `::` first in a line and `##[` anywhere, Azure for `##vso[` and `##[`."""
    return bool(re.match(r"\s*::", line)) or "##[" in line or "##vso[" in line.lower()


@given(st.text(st.sampled_from(":#vsoVSO[] \n\tx\u00a0\u3000\r\x0b")))
def test_defused_text_runs_no_command(hostile) -> None:
    defused = text.defuse(text.escape_lines(hostile))
    assert not any(_runs_a_command(line) for line in re.split(r"[\n\r\x0b\x0c\x85\u2028]", defused))


@given(st.text())
def test_escaped_text_has_no_control_character(hostile) -> None:
    assert not CONTROL.search(text.escape_lines(hostile))
    assert "\n" not in text.escape_line(hostile)


@given(st.text())
def test_any_query_is_compiled_or_refused(expression) -> None:
    try:
        pick = compile_query(expression)
    except UsageError:
        return
    try:
        pick({"a": [1]})
    except UsageError:
        return


@given(st.lists(st.lists(st.text(max_size=30), min_size=3, max_size=3), min_size=1, max_size=5), st.integers(40, 120))
def test_tables_fit_the_terminal(rows, width) -> None:
    cells = [[formats.cell(value) for value in row] for row in rows]
    written = formats.to_table(("a", "b", "c"), cells, width)
    assert all(text.cells(line) <= width for line in written.split("\n"))
