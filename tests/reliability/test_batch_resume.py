"""A batch run that is killed goes on from its last finished mini-batch: no row is lost, none is there twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from batch_support import Step, table
from command_line import Opsml
from serving_support import register_own, trained_once
from waiting import until

from opsml_cli.local.batch.settings import Settings
from opsml_cli.local.workspace import LocalWorkspace

BLOCK = 10_000
SLOW_SCRIPT = """
import os, time
from pathlib import Path

def init():
    Path(os.environ["SEEN"]).mkdir(exist_ok=True)

def run(mini_batch):
    for path in mini_batch:
        name = Path(path).name
        count = len(list(Path(os.environ["SEEN"]).glob(name + ".*")))
        (Path(os.environ["SEEN"]) / f"{name}.{count}").touch()
        while (Path(os.environ["SEEN"]) / "hold").exists() and name == "f05.txt":
            time.sleep(0.01)
    return [Path(path).read_text() for path in mini_batch]
"""


@pytest.fixture
def step(workspace: LocalWorkspace, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Step:
    """Three files of five mini-batches and a bit, scored by a model of our own."""
    model = register_own(workspace, trained_once(tmp_path_factory.getbasetemp()))
    source = tmp_path / "in"
    source.mkdir()
    table(source / "a.csv", 2 * BLOCK)
    table(source / "b.csv", BLOCK + 17, start=5)
    table(source / "c.csv", 2 * BLOCK + 1, start=9)
    return Step(workspace, f"{model.name}:{model.version}", source, tmp_path / "out", tmp_path / "code")


def rows_of(step: Step) -> list[tuple[str, int]]:
    return [(line.rsplit(",", 1)[1], int(line.split(",", 1)[0])) for line in step.lines()]


@pytest.mark.parametrize("kills", [(1,), pytest.param((2, 3, 4), marks=pytest.mark.slow)])
def test_what_was_finished_is_kept(step: Step, tmp_path: Path, kills: tuple[int, ...]) -> None:
    whole = replace(step, output=tmp_path / "whole")
    assert whole.finish()[0] == 0
    assert not step.journals, "what is finished leaves nothing behind"
    for kept in kills:
        step.killed(after=kept)
    code, log = step.finish()
    assert code == 0, log
    assert "going on from a run that was killed" in log
    assert step.lines() == whole.lines()
    expected = [(name, row) for name, rows in (("a.csv", 20_000), ("b.csv", 10_017), ("c.csv", 20_001)) for row in range(rows)]
    assert rows_of(step) == expected
    assert not step.journals


@pytest.mark.slow
def test_other_settings_begin_anew(step: Step) -> None:
    step.killed(after=2)
    changed = replace(step, settings=Settings(file_name="other.csv"))
    code, log = changed.finish()
    assert code == 0, log
    assert "going on" not in log
    assert len(changed.lines("other.csv")) == 50_018
    # How it is run decides nothing of what it gives.
    code, log = replace(step, settings=Settings(workers=2, retries=1, timeout=60.0)).finish()
    assert code == 0, log
    assert "going on" in log
    assert len(step.lines()) == 50_018


@pytest.mark.slow
def test_a_torn_journal_counts_up_to_its_last_whole_entry(step: Step, tmp_path: Path) -> None:
    whole = replace(step, output=tmp_path / "whole")
    whole.finish()
    step.killed(after=2)
    (journal,) = step.journals
    with journal.open("ab") as file:
        file.write(b'{"number": 4, "index"')
    with (journal.parent / "lines").open("ab") as file:
        file.write(b"999,half a li")
    assert step.finish()[0] == 0
    assert step.lines() == whole.lines()


@pytest.mark.slow
def test_two_runs_of_the_same_at_once_are_each_whole(step: Step, tmp_path: Path) -> None:
    first, second = replace(step, output=tmp_path / "one"), replace(step, output=tmp_path / "two")
    processes = [first.start("one"), second.start("two")]
    for process in processes:
        log, _ = process.communicate(timeout=120)
        assert process.returncode == 0, log
    assert first.lines() == second.lines()
    assert len(first.lines()) == 50_018


@pytest.mark.slow
def test_a_model_over_several_processes_gives_the_same(step: Step, tmp_path: Path) -> None:
    assert step.finish()[0] == 0
    several = replace(step, output=tmp_path / "several", settings=Settings(workers=2))
    code, log = several.finish()
    assert code == 0, log
    assert several.lines() == step.lines()


@pytest.fixture
def scripted(workspace: LocalWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Step:
    """Ten files, one at a time, by a script that stops at the sixth while a file `hold` is there."""
    source, code, seen = tmp_path / "in", tmp_path / "code", tmp_path / "seen"
    for folder in (source, code, seen):
        folder.mkdir()
    for number in range(10):
        (source / f"f{number:02}.txt").write_text(f"text {number}")
    (code / "score.py").write_text(SLOW_SCRIPT)
    (seen / "hold").touch()
    monkeypatch.setenv("SEEN", str(seen))
    return Step(workspace, "", source, tmp_path / "out", code, Settings(script="score.py", batch=1, retries=3))


def worker_of(process: int) -> psutil.Process | None:
    for child in psutil.Process(process).children(recursive=True):
        if "opsml_cli.local.batch.worker" in child.cmdline():
            return child
    return None


def test_a_killed_worker_is_replaced_and_its_mini_batch_tried_again(scripted: Step, tmp_path: Path) -> None:
    process = scripted.start()
    until((tmp_path / "seen" / "f05.txt.0").exists, 60.0)
    worker = worker_of(process.pid)
    assert worker is not None
    (tmp_path / "seen" / "hold").unlink()
    worker.send_signal(signal.SIGSTOP)  # it may have gone on already: then nothing is tried again, and nothing is lost either
    os.kill(worker.pid, signal.SIGKILL)
    log, _ = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert "ended by signal 9; retry 1 of 3" in log
    assert scripted.lines() == [f"text {number}" for number in range(10)]


def test_a_killed_run_leaves_no_worker_and_its_script_sees_no_finished_file_again(scripted: Step, tmp_path: Path) -> None:
    process = scripted.start()
    until((tmp_path / "seen" / "f05.txt.0").exists, 60.0)
    worker = worker_of(process.pid)
    assert worker is not None
    process.kill()
    process.communicate(timeout=30)
    (tmp_path / "seen" / "hold").unlink()
    until(lambda: not worker.is_running(), 30.0)
    code, log = scripted.finish()
    assert code == 0, log
    assert scripted.lines() == [f"text {number}" for number in range(10)]
    again = {path.name for path in (tmp_path / "seen").glob("*.1")}
    assert again == {"f05.txt.1"}


def test_a_mini_batch_that_takes_too_long_is_ended_and_tried_again(scripted: Step, tmp_path: Path) -> None:
    short = replace(scripted, settings=replace(scripted.settings, timeout=0.7, retries=1))
    code, log = short.finish()
    assert code == 0, log
    assert "it took longer than the timeout of 0.7 s; retry 1 of 1" in log
    assert "mini-batch 5 (f05.txt) failed: it took longer than the timeout of 0.7 s (after 1 retries)" in log
    assert short.lines() == [f"text {number}" for number in range(10) if number != 5]
    assert len(list((tmp_path / "seen").glob("f05.txt.*"))) == 2


FLAKY = """
import os
from pathlib import Path

def run(mini_batch):
    mark = Path(os.environ["MARK"])
    if not mark.exists():
        mark.touch()
        raise RuntimeError("not yet")
    if "bad" in mini_batch[0]:
        raise ValueError("never")
    return [1] * len(mini_batch)
"""


@pytest.mark.parametrize(("threshold", "code"), [(-1, 0), (1, 0), (0, 1)])
def test_retries_and_the_threshold(
    workspace: LocalWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threshold: int, code: int
) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.txt", "bad.txt", "c.txt"):
        (tmp_path / "in" / name).touch()
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "score.py").write_text(FLAKY)
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    settings = Settings(script="score.py", batch=1, retries=2, error_threshold=threshold)
    step = Step(workspace, "", tmp_path / "in", tmp_path / "out", tmp_path / "code", settings)
    ended, log = step.finish()
    assert ended == code, log
    assert "mini-batch 0 (a.txt): RuntimeError: not yet; retry 1 of 2" in log
    assert "mini-batch 1 (bad.txt) failed: ValueError: never (after 2 retries)" in log
    if code:
        assert "error: more than 0 files failed" in log
        assert not step.journals, "a run that failed by itself is not gone on with"
    else:
        assert step.lines() == ["1", "1"]


@pytest.mark.slow
def test_a_killed_job_is_gone_on_with_by_the_next(step: Step, workspace: LocalWorkspace, tmp_path: Path, opsml: Opsml) -> None:
    """The whole way: `opsml batch run`, its process killed, the same command again."""
    assert opsml("batch", "deploy", "bank", "--endpoint", "nightly").exit_code == 0
    table(step.source / "d.csv", 40 * BLOCK)  # long enough to be killed in the middle
    begun = opsml("batch", "run", "nightly", step.source, "--no-wait", "-o", "json")
    assert begun.exit_code == 0, begun.stderr
    run = json.loads(begun.stdout)["run"]
    until(lambda: step.kept() >= 2, 60.0)
    from opsml_cli.local import job_records

    with workspace.store.read() as connection:
        record = job_records.load(connection, run)
    assert record is not None and record.process is not None
    os.kill(record.process.pid, signal.SIGKILL)
    again = opsml("batch", "run", "nightly", step.source, "--out", tmp_path / "out")
    assert again.exit_code == 0, again.stderr
    assert len(step.lines()) == 50_018 + 40 * BLOCK
    assert workspace.jobs.get(run).status == "Failed"
    newest = workspace.jobs.list(limit=1)[0]
    assert "going on from a run that was killed" in workspace.jobs.logs(newest.name)[0]


@pytest.mark.slow
def test_a_million_rows_in_bounded_memory(step: Step, tmp_path: Path) -> None:
    """A file of fifty times the rows takes no more memory than this."""
    rows = 1_000_000
    source = tmp_path / "large.csv"
    with source.open("w") as file:
        file.write("age,job,balance\n")
        for number in range(rows):
            file.write(f"{18 + number % 70},{('technician', 'retired')[number % 2]},{number % 977}.5\n")
    large = replace(step, source=source)
    process = large.start()
    most, watched = 0, psutil.Process(process.pid)
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            most = max(most, watched.memory_info().rss)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
    assert process.returncode == 0
    assert most < 350e6, f"{most / 1e6:.0f} MB"
    with (large.output / "predictions.csv").open("rb") as file:
        assert sum(1 for _ in file) == rows
