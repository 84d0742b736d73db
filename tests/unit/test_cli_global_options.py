"""Global options: before, between and after the words; the innermost wins; nothing else is taken for one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.cli.global_options import scan


@pytest.mark.parametrize(
    "arguments",
    [
        ("-o", "json", "-w", "a", "probe", "echo"),
        ("probe", "-o", "json", "-w", "a", "echo"),
        ("probe", "echo", "-o", "json", "-w", "a"),
        ("-o", "tsv", "-w", "b", "probe", "-o", "yaml", "echo", "--output=json", "-wa"),
        ("-w", "a", "probe", "-o", "json", "echo"),
    ],
)
def test_everywhere_and_the_innermost_wins(probe, arguments) -> None:
    code, out, _ = probe(*arguments)
    assert code == 0
    given_ = json.loads(out)["globals"]
    assert (given_["workspace"], given_["output"]) == ("a", "json")


def test_values_that_look_like_options_stay_values(probe) -> None:
    document = json.loads(probe("probe", "echo", "--tag", "-o", "-o", "json", "--", "-o", "yaml", "--no-input").stdout)
    assert document["tag"] == ["-o"]
    assert document["words"] == ["-o", "yaml", "--no-input"]
    assert document["globals"]["no_input"] is False


def test_switches_hold_from_anywhere(probe) -> None:
    assert json.loads(probe("--no-input", "probe", "echo", "-o", "json").stdout)["globals"]["no_input"] is True


def test_they_are_shown_at_the_root_alone(probe) -> None:
    assert "--query" in probe("--help").stdout
    help_ = probe("probe", "echo", "--help").stdout
    assert "--query JMESPATH" not in help_
    assert "opsml --help" in help_


def test_help_leads_with_an_example(probe) -> None:
    for arguments in (("--help",), ("probe", "fail", "--help")):
        assert probe(*arguments).stdout.startswith("Example: opsml ")


def test_bare_opsml_shows_help_and_version_is_short(probe) -> None:
    assert probe().stdout == probe("--help").stdout
    code, out, err = probe("--version")
    assert (code, err) == (0, "")
    assert out.startswith("opsml 0.")


def test_changing_verbs_say_where_they_act(probe, tmp_path) -> None:
    code, out, err = probe("probe", "change", "-o", "json")
    assert code == 0
    assert json.loads(out)["workspace"] == "local"
    assert err == f"workspace: local ({tmp_path}/.opsml), from default\n"
    azure = {f"OPSML_AZURE__{key}": "x" for key in ("SUBSCRIPTION_ID", "RESOURCE_GROUP", "WORKSPACE_NAME")}
    assert "hint: the Azure settings are complete but unused" in probe("probe", "change", env=azure).stderr
    assert probe("probe", "change", "-q", env=azure).stderr == ""
    code, _, err = probe("probe", "change", "-w", "azure", env=azure)
    assert err.startswith("workspace: azure (x/x/x), from flag -w\n")
    assert code == 4, "it says as whom it acts, and nobody is signed in here"


words = st.sampled_from(
    ["-o", "json", "--output", "--output=json", "-ojson", "-w", "x", "--", "--tag", "data", "list", "-q", "--debug", "-"]
)


@given(st.lists(words))
def test_scanning_never_fails_and_stops_at_two_dashes(arguments) -> None:
    found = scan(arguments, lambda _: frozenset({"--tag"}))
    if "--" in arguments:
        position = arguments.index("--")
        before = arguments[:position]
        if not before or before[-1] not in ("-o", "--output", "-w", "--tag"):
            assert found.output == scan(before, lambda _: frozenset({"--tag"})).output
