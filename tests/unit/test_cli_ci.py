"""GitHub Actions and Azure Pipelines: outputs, summaries, annotations, masks; and no command from anybody else's text."""

from __future__ import annotations

import json
import re

import pytest

COMMAND = re.compile(r"^\s*::|##\[|##vso\[", re.MULTILINE | re.IGNORECASE)


def test_github_outputs_and_summary(probe, tmp_path) -> None:
    outputs, summary = tmp_path / "outputs", tmp_path / "summary"
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
    code, out, _ = probe("probe", "value", "figures", "-o", "json", env=environment)
    assert code == 0
    assert json.loads(out)["name"] == "bank"
    lines = outputs.read_text().splitlines()
    assert re.fullmatch(r"name<<opsml-[0-9a-f]{32}", lines[0])
    assert lines[1] == "bank"
    assert lines[2] == lines[0].partition("<<")[2]
    assert "| bank | 0.95 |" in summary.read_text()


def test_github_files_work_without_the_runner(probe, tmp_path) -> None:
    outputs = tmp_path / "outputs"
    _, _, err = probe("probe", "value", "figures", env={"GITHUB_OUTPUT": str(outputs)})
    assert "bank" in outputs.read_text()
    assert not COMMAND.search(err)


def test_an_output_file_that_cannot_be_written_is_a_warning(probe, tmp_path) -> None:
    code, _, err = probe("probe", "value", "figures", env={"GITHUB_OUTPUT": str(tmp_path / "no" / "folder")})
    assert code == 0
    assert "warning: " in err


def test_azure_outputs_and_summary(probe, tmp_path) -> None:
    _, _, err = probe("probe", "value", "figures", env={"TF_BUILD": "True", "AGENT_TEMPDIRECTORY": str(tmp_path)})
    assert "##vso[task.setvariable variable=name;isOutput=true]bank\n" in err
    [summary] = tmp_path.glob("opsml-*.md")
    assert f"##vso[task.uploadsummary]{summary}" in err
    assert "| bank | 0.95 |" in summary.read_text()


@pytest.mark.parametrize(
    ("environment", "annotation"),
    [
        ({"GITHUB_ACTIONS": "true"}, "::error title=opsml::50%25 of\\n::it"),
        ({"TF_BUILD": "True"}, "##vso[task.logissue type=error]50%AZP25 of\\n::it"),
    ],
)
@pytest.mark.parametrize("form", ["json", "table"])
def test_errors_are_annotations(probe, environment, annotation, form) -> None:
    code, out, err = probe("probe", "fail", "gate", "--text", "50% of\n::it", "-o", form, env=environment)
    assert (code, out) == (10, "")
    first, *rest = err.splitlines()
    assert first == annotation
    assert not any(COMMAND.search(line) for line in rest)
    if form == "json":
        assert json.loads(rest[-1])["error"]["message"] == "50% of\n::it"


@pytest.mark.parametrize(
    ("environment", "command"),
    [
        ({"GITHUB_ACTIONS": "true"}, "::add-mask::shown-on-purpose-1"),
        ({"TF_BUILD": "True"}, "##vso[task.setsecret]shown-on-purpose-1"),
    ],
)
def test_secrets_that_are_shown_are_masked_in_the_log(probe, environment, command) -> None:
    assert command in probe("probe", "value", "figures", env=environment).stderr.splitlines()


@pytest.mark.parametrize("environment", [{"GITHUB_ACTIONS": "true"}, {"TF_BUILD": "True"}])
@pytest.mark.parametrize("form", ["table", "json", "jsonl", "tsv", "yaml"])
@pytest.mark.parametrize("kind", ["hostile", "hostile-text", "hostile-rows"])
def test_untrusted_text_runs_no_command_on_stdout(probe, environment, form, kind) -> None:
    code, out, _ = probe("probe", "value", kind, "-o", form, env=environment)
    assert code == 0
    assert not COMMAND.search(out)


@pytest.mark.parametrize("environment", [{"GITHUB_ACTIONS": "true"}, {"TF_BUILD": "True"}])
def test_untrusted_text_runs_no_command_on_stderr(probe, environment) -> None:
    for hostile in ("::set-output name=a::b", "x ##vso[task.setvariable]y", "\n::error::z", "##[command]"):
        own, *rest = probe("probe", "leak", hostile, env=environment).stderr.splitlines()
        annotations = [line for line in (own, *rest) if COMMAND.search(line)]
        assert len(annotations) == 1
        assert annotations[0].startswith(("::error title=opsml::unexpected", "##vso[task.logissue type=error]unexpected"))


@pytest.mark.parametrize("variable", ["OPSML_AZURE__CLIENT_SECRET", "MY_TOKEN", "AZURE_CLIENT_SECRET", "STORAGE_KEY"])
@pytest.mark.parametrize("arguments", [(), ("--debug",), ("-o", "json")])
def test_a_canary_is_in_no_message_no_log_and_no_traceback(probe, clean_environment, tmp_path, variable, arguments) -> None:
    canary = "canary-7f3d9c1e"
    code, out, err = probe(*arguments, "probe", "leak", canary, env={variable: canary})
    assert code == 1
    assert canary not in out + err
    logs = [path for path in tmp_path.rglob("*.log") if path.is_file()]
    assert logs
    assert not any(canary in path.read_text() for path in logs)
    assert any("***" in path.read_text() for path in logs)
