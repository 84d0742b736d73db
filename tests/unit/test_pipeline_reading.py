"""Pipeline YAML: what is read, and errors that name file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from pipeline_support import SMALL, small_pipeline, written

from opsml_cli.documents import read_document
from opsml_cli.domain.errors import InvalidInputError, OpsmlError
from opsml_cli.local.pipelines.definition import AutoMLWork, CommandWork, PipelineDefinition
from opsml_cli.local.pipelines.reading import read_pipeline
from opsml_cli.local.pipelines.sources import FolderSources


def read(path: Path) -> PipelineDefinition:
    document = read_document(path, source=path.name)
    return read_pipeline(document, FolderSources(document.folder))


def refused(tmp_path: Path, text: str) -> OpsmlError:
    with pytest.raises(InvalidInputError) as caught:
        read(written(tmp_path, text))
    return caught.value


def test_a_whole_pipeline(tmp_path: Path) -> None:
    found = read(small_pipeline(tmp_path))
    assert [step.name for step in found.steps] == ["first", "second"]
    assert found.steps[1].needs == ("first",)
    assert found.inputs["count"].default == 3
    assert found.outputs["last"].type == "uri_folder"
    work = found.steps[0].work
    assert isinstance(work, CommandWork)
    assert work.code is not None
    assert work.code.key == "src"


def test_steps_are_ordered_by_what_they_need(tmp_path: Path) -> None:
    text = SMALL.replace("  first:", "  later:").replace("jobs.first", "jobs.later")
    head, _, steps = text.partition("jobs:\n")
    first, _, second = steps.partition("  second:")
    (tmp_path / "src").mkdir()
    found = read(written(tmp_path, f"{head}jobs:\n  second:{second}{first}"))
    assert [step.name for step in found.steps] == ["later", "second"]


@pytest.mark.parametrize(
    ("change", "line", "message", "cause"),
    [
        (("display_name: small", "dispaly_name: small"), 2, "unknown key 'dispaly_name'", "did you mean 'display_name'?"),
        (("type: pipeline", "type: job"), 1, "type is 'job'", "expected pipeline"),
        (("    type: command\n    code: src", "    type: comand\n    code: src"), 10,
         "step type 'comand'", "did you mean 'command'"),
        (("    type: command\n    code: src", "    type: sweep\n    code: src"), 10, "step type 'sweep'", "command and automl"),
        (("    code: src", "    code: srx"), 11, "no folder 'srx'", "relative paths"),
        (("    code: src", "    cod: src"), 11, "unknown key 'jobs.first.cod'", "did you mean 'code'"),
        (("word: ${{parent.inputs.word}}", "word: ${{parent.inputs.wort}}"), 14, "no input 'wort'", "did you mean 'word'"),
        (("${{parent.jobs.first.outputs.out}}", "${{parent.jobs.frist.outputs.out}}"), 22,
         "no step 'frist'", "did you mean 'first'"),
        (("${{parent.jobs.first.outputs.out}}", "${{parent.jobs.first.outputs.ot}}"), 22,
         "no output 'ot'", "did you mean 'out'"),
        (("made: ${{parent.jobs.first.outputs.out}}", "made: {type: uri_file, path: '${{parent.jobs.first.outputs.out}}'}"), 22,
         "wants uri_file, and is given uri_folder", None),
        (("${{outputs.out}} ${{inputs.word}}", "${{outputs.outt}} ${{inputs.word}}"), 12,
         "no output 'outt'", "did you mean 'out'"),
        (("${{inputs.word}}", "${{inputs.wrd}}"), 12, "no input 'wrd'", "did you mean 'word'"),
        (("${{inputs.word}}", "${{parent.inputs.word}}"), 12, "cannot stand in a command", "${{inputs.NAME}}"),
        (("${{inputs.word}}", "${{inputs.word}"), 12, "not known", "known are"),
        (("default: 3", "default: 9"), 5, "must not be more than 5", None),
        (("default: 3", "default: many"), 5, "'many' is not a whole number", None),
        (("type: integer", "type: intger"), 5, "type 'intger'", "did you mean 'integer'"),
        (("out: ${{parent.outputs.last}}", "out: ${{parent.outputs.lst}}"), 24, "no output 'lst'", "did you mean 'last'"),
        (("out: ${{parent.outputs.last}}", "out: {type: uri_file, path: '${{parent.outputs.last}}'}"), 24,
         "wants uri_folder, and is given uri_file", None),
        (("count: ${{parent.inputs.count}}", "count: ${{parent.jobs.second.outputs.out}}"), 9, "wait for each other", None),
    ],
)  # fmt: skip
def test_errors_name_the_line(tmp_path: Path, change: tuple[str, str], line: int, message: str, cause: str | None) -> None:
    (tmp_path / "src").mkdir()
    assert change[0] in SMALL
    error = refused(tmp_path, SMALL.replace(change[0], change[1], 1))
    assert f"line {line}:" in error.message, error.message
    assert message in error.message
    assert error.message.startswith("pipeline.yml, ")
    if cause is not None:
        assert cause in (error.cause or "")


def test_a_literal_goes_where_its_type_fits(tmp_path: Path) -> None:
    text = SMALL.replace("count: ${{parent.inputs.count}}", "count: ${{parent.inputs.word}}")
    (tmp_path / "src").mkdir()
    assert read(written(tmp_path, text)).step("first").inputs["count"].type == "string"


def test_a_component_file_brings_its_own_code_and_types(tmp_path: Path) -> None:
    (tmp_path / "parts" / "code").mkdir(parents=True)
    (tmp_path / "parts" / "one.yml").write_text(
        "type: command\nname: one\ncode: code\ncommand: run ${{inputs.n}} $[[--m ${{inputs.m}}]] ${{outputs.o}}\n"
        "inputs:\n  n: {type: integer, default: 2, max: 9}\n  m: {type: string, optional: true}\n"
        "outputs:\n  o: {type: uri_file}\nis_deterministic: false\n"
    )
    found = read(written(tmp_path, "type: pipeline\njobs:\n  a:\n    component: file:parts/one.yml\n"))
    step = found.step("a")
    assert isinstance(step.work, CommandWork)
    assert step.work.code is not None
    assert step.work.code.key == "parts/code"
    assert not step.work.deterministic
    assert step.inputs["n"].literal == 2
    assert step.outputs["o"].type == "uri_file"


def test_errors_in_a_component_name_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "one.yml").write_text("command: run ${{inputs.n}}\n\ninptus: {}\n")
    error = refused(tmp_path, "type: pipeline\njobs:\n  a:\n    component: ./one.yml\n")
    assert error.message.startswith("one.yml, line 3: unknown key 'inptus'")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("n: 10", "must not be more than 9"),
        ("n: text", "not a whole number"),
        ("x: 1", "has no input 'x'"),
        ("", "n of the component is not given"),
    ],
)
def test_a_component_checks_what_it_is_given(tmp_path: Path, given: str, message: str) -> None:
    text = (
        "type: pipeline\njobs:\n  a:\n    component:\n      command: run ${{inputs.n}}\n"
        f"      inputs: {{n: {{type: integer, max: 9}}}}\n    inputs: {{{given}}}\n"
    )
    assert message in refused(tmp_path, text).message


def test_an_optional_input_needs_an_optional_section(tmp_path: Path) -> None:
    text = (
        "type: pipeline\ninputs: {x: {type: string, optional: true}}\njobs:\n  a:\n    command: echo COMMAND\n"
        "    inputs: {x: '${{parent.inputs.x}}'}\n"
    )
    assert "is optional" in refused(tmp_path, text.replace("COMMAND", "${{inputs.x}}")).message
    assert read(written(tmp_path, text.replace("COMMAND", "$[[${{inputs.x}}]]"))).step("a").ports["x"].optional


AUTOML = """\
type: pipeline
inputs:
  data: {type: uri_file, optional: false}
  minutes: 0.5
jobs:
  train:
    type: automl
    task: classification
    primary_metric: AUC_weighted
    training_data: {type: mltable, path: "${{parent.inputs.data}}"}
    target_column_name: y
    limits: {timeout_minutes: "${{parent.inputs.minutes}}", max_trials: 2}
    outputs:
      best_model: {type: mlflow_model}
"""


def test_an_automl_step(tmp_path: Path) -> None:
    step = read(written(tmp_path, AUTOML)).step("train")
    assert isinstance(step.work, AutoMLWork)
    assert step.outputs["best_model"].type == "mlflow_model"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("max_trials", "max_trails"), "unknown key 'jobs.train.limits.max_trails'"),
        (("task: classification", "task: clasification"), "clasification"),
        (("    target_column_name: y\n", ""), "target_column_name is missing"),
        (("${{parent.inputs.data}}", "${{parent.inputs.minutes}}"), "is of type number"),
        (("${{parent.inputs.minutes}}", "${{parent.inputs.data}}"), "is of type uri_file"),
        (("best_model: {type", "worst_model: {type"), "no output worst_model"),
    ],
)
def test_an_automl_step_is_checked(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert message in refused(tmp_path, AUTOML.replace(*change)).message


def test_settings_without_effect_are_named(tmp_path: Path) -> None:
    text = SMALL.replace("display_name: small", "settings: {default_compute: azureml:cpu, force_rerun: true}")
    text = text.replace("    code: src", "    code: src\n    environment: azureml:e@latest\n    resources: {instance_count: 2}")
    (tmp_path / "src").mkdir()
    found = read(written(tmp_path, text))
    assert found.force_rerun
    assert any("default_compute" in note for note in found.notes)
    assert any("environment" in note for note in found.notes)
    assert any("resources" in note for note in found.notes)


def test_an_output_that_no_step_writes_is_noted(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    found = read(written(tmp_path, SMALL.replace("out: ${{parent.outputs.last}}", "out: {type: uri_folder}")))
    assert "outputs.last stays empty: no step writes it" in found.notes
    assert not [note for note in read(small_pipeline(tmp_path)).notes if "stays empty" in note]


def test_a_step_may_read_the_name_of_its_run(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    found = read(written(tmp_path, SMALL.replace("word: ${{parent.inputs.word}}", "word: ${{parent.name}}")))
    assert found.step("first").inputs["word"].type == "string"


@pytest.mark.parametrize("path", ["https://example.com/x.csv", "azureml://datastores/x/paths/y", "wasbs://x", "git+https://x"])
def test_remote_paths_are_refused(tmp_path: Path, path: str) -> None:
    text = f"type: pipeline\ninputs: {{d: {{type: uri_file, path: '{path}'}}}}\njobs: {{a: {{command: echo}}}}\n"
    assert "no local path" in refused(tmp_path, text).message


def test_bombs_end_in_a_clear_error(tmp_path: Path) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert "too much content" in refused(tmp_path, bomb).message
    assert "levels deep" in refused(tmp_path, "a: " + "[" * 60 + "]" * 60).message
    assert "larger than" in refused(tmp_path, "#" * 1_100_000).message
    assert "unknown tag" in refused(tmp_path, "type: !custom x").message
    assert "unknown tag" in refused(tmp_path, "type: !!python/object/apply:os.system ['true']").message


def test_names_that_would_collide_or_leave_are_refused(tmp_path: Path) -> None:
    for name in ("../x", "a-b", "con", "1a", "a/b"):
        assert "is no valid name" in refused(tmp_path, f"type: pipeline\njobs:\n  '{name}': {{command: echo}}\n").message
    assert (
        "differ in case only"
        in refused(tmp_path, "type: pipeline\njobs:\n  a: {command: echo}\n  A: {command: echo}\n").message
    )


@pytest.mark.parametrize("text", ["y", "no", "on", "012", "1e3", "1.10", "+5", "2023-03-01", "True", "0x1F", "1_000", "~x"])
def test_text_defaults_are_text_as_it_is_written(tmp_path: Path, text: str) -> None:
    from opsml_cli.azureml import pipeline_files
    from opsml_cli.documents import parse_document

    words = (
        f"type: pipeline\ninputs:\n  s: {{type: string, default: {text}}}\njobs: {{a: {{command: 'echo ${{{{inputs.s}}}}'}}}}\n"
    )
    value = parse_document(words, source="p.yml", folder=tmp_path).value
    assert isinstance(value, dict) and value["inputs"]["s"] == {"type": "string", "default": text}
    assert pipeline_files.read_text(words, tmp_path / "p.yml").component["inputs"]["s"]["default"] == text
    number = parse_document("{type: number, default: 1e3}", source="p.yml", folder=tmp_path).value
    assert number == {"type": "number", "default": 1000.0}
