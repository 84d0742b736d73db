"""What `jobs show` and `jobs logs` say of runs that went in odd ways."""

from __future__ import annotations

from pathlib import Path

from waiting import until

from opsml_cli.domain.job import Job, JobKind, JobState
from opsml_cli.domain.pipeline import PipelineRun
from opsml_cli.local.clock import now
from opsml_cli.local.workspace import LocalWorkspace
from opsml_cli.services import jobs


def test_a_run_that_failed_before_it_had_steps_is_shown(tmp_path: Path) -> None:
    local = LocalWorkspace(tmp_path / ".opsml", "local")
    job = Job("early", JobKind.PIPELINE, JobState.FAILED, "work", "local", now())
    local.jobs.record_failed(job, "the input data is gone")
    found = jobs.show(local, "early")
    assert isinstance(found, PipelineRun)
    assert (found.run, found.status, found.steps, found.error) == ("early", JobState.FAILED, (), "the input data is gone")


def test_what_a_progress_bar_draws_keeps_its_time_and_step(tmp_path: Path) -> None:
    local = LocalWorkspace(tmp_path / ".opsml", "local")
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "pipeline.yml").write_text(
        "type: pipeline\njobs:\n  bar:\n    command: printf '10%%\\r50%%\\r100%%\\r\\nA\\014B\\342\\200\\250C\\r\\n'\n"
    )
    run = local.pipelines.begin_run(str(folder / "pipeline.yml"), {}, None).run
    until(lambda: local.jobs.get(run).status.finished)
    lines = jobs.log_lines(local, run)
    for part in ("10%", "50%", "100%", "A\x0cB\u2028C"):
        assert any(line.timestamp and line.message == f"bar | {part}" for line in lines), lines
