"""What the one step of a model deployment's run does: every row of its input, scored by a registered model or a script.

`python -m opsml_cli.local.batch.scoring --root R --model NAME:VERSION --input PATH --output FOLDER`, with the deployment's
settings as JSON in the environment variable BATCH_SCORING. This process reads, counts and keeps; it runs no foreign code."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.errors import InvalidInputError, OpsmlError
from opsml_cli.domain.names import parse_ref
from opsml_cli.local.batch import journal, minibatch, scoring_run
from opsml_cli.local.batch.journal import Journal, Progress
from opsml_cli.local.batch.minibatch import InputFile, MiniBatch, RowBatches
from opsml_cli.local.batch.orphan import end_with_parent
from opsml_cli.local.batch.pool import InProcess, Scored, Scorer, WorkerProcess, in_order
from opsml_cli.local.batch.settings import VARIABLE, Settings

if TYPE_CHECKING:
    from opsml_cli.domain.model import Model
    from opsml_cli.local.layout import Layout

_SAID_SECONDS = 5.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scoring")
    for name in ("--root", "--model", "--input", "--output"):
        parser.add_argument(name, required=True)
    given = parser.parse_args(arguments)
    end_with_parent()
    try:
        settings = Settings.read(os.environ.pop(VARIABLE, ""))
        job = Job(Path(given.root), given.model, os.environ.get("OPSML_RUN", "run"))
        run(job, Path(given.input), Path(given.output), settings)
    except OpsmlError as error:
        say(f"error: {error.message}" + (f": {error.cause}" if error.cause else ""))
        return 1
    return 0


@dataclass(frozen=True, slots=True)
class Job:
    """Whose run it is: the workspace's folder, the model as NAME:VERSION ("": none), and the job's name."""

    root: Path
    model: str
    name: str = "run"

    @property
    def layout(self) -> Layout:
        from opsml_cli.local.layout import Layout

        return Layout(self.root)


def run(job: Job, source: Path, output: Path, settings: Settings) -> None:
    """Score `source`, a file or a folder of files, into `output`/<file name>. InvalidInputError when too many files fail."""
    layout = job.layout
    output.mkdir(parents=True, exist_ok=True)
    files = minibatch.input_files(source, settings.label)
    found = _verified(layout, job.model) if job.model else None
    journal.sweep(layout.batch)
    work = journal.open_journal(layout.batch, _key(layout, found, source, settings), job.name)
    keep = True
    try:
        if work.progress != Progress():
            done = work.progress
            say(f"going on from a run that was killed: {done.number:,} mini-batches, {done.results:,} results are there")
        try:
            Scoring(job, work, files, found, settings).run()
            work.finish(output, settings.file_name if settings.append else None)
        except OpsmlError:
            keep = False
            raise
        keep = False
    finally:
        work.close(keep=keep)


class Scoring:
    """One run over `files`, from where the journal says on."""

    def __init__(self, job: Job, work: Journal, files: Sequence[InputFile], model: Model | None, settings: Settings) -> None:
        self._work, self._files, self._model, self._settings = work, files, model, settings
        self._root, self._status = job.root, job.layout.job(job.name) / scoring_run.PROGRESS
        self._said = self._begun = time.monotonic()
        self._before = work.progress.results
        self._broken = -1  # the file that failed last

    def run(self) -> None:
        batches, make, workers = self._prepared()
        for scored in in_order(batches, make, workers, self._settings.retries, say):
            if scored.error is not None:
                self._failed(scored, batches)
            elif scored.batch.index != self._broken or scored.batch.block is None:
                self._keep(scored)
        if self._work.progress.index < len(self._files):
            self._work.keep(b"", self._whole(self._work.progress, len(self._files)))
        done = self._work.progress
        seconds = max(time.monotonic() - self._begun, 1e-6)
        rate = f", {(done.results - self._before) / seconds:,.0f} a second" if self._model is not None else ""
        what = self._settings.script or f"model {self._model.name}:{self._model.version}"  # type: ignore[union-attr]
        say(f"{done.results} results of {what}, {done.failed} of {len(self._files)} files failed{rate}")
        self._write_status(done)
        if not done.results and self._settings.append:
            if done.failed:
                raise InvalidInputError("no file could be scored", cause="the log says why of each")
            raise InvalidInputError("there is no result: run gave nothing for any mini-batch")

    def _prepared(self) -> tuple[Iterable[MiniBatch], Callable[[], Scorer], int]:
        settings, place = self._settings, self._work.progress.place
        cores = max(1, os.cpu_count() or 1)
        workers = min(settings.workers, cores)
        if workers < settings.workers:
            say(f"{settings.workers} mini-batches at once are asked for: this machine has {cores} cores, so {workers} are")
        environment = dict(os.environ)
        if workers > 1:
            environment.setdefault("OMP_NUM_THREADS", str(max(1, cores // workers)))
        begin: dict[str, object] = {"output": str(self._work.output), "logging_level": settings.logging_level}
        if settings.script:
            code, files = Path.cwd(), self._named(self._files)
            mounted = "" if self._model is None else str(_copied(code, Path(self._model.path), settings.mount))
            begin |= {"kind": "script", "code": str(code), "entry": settings.script, "model": mounted}
            batches: Iterable[MiniBatch] = minibatch.of_files(files, settings.batch, place)
            return batches, lambda: WorkerProcess(begin, settings.timeout, environment), workers
        assert self._model is not None
        folder = Path(self._model.path)
        if self._model.own:
            from opsml_cli.local.batch.own_model import OwnModel

            own = OwnModel(folder)
            self._tell_target(own.target)
            batches = RowBatches(self._files, own.types, place)
            if workers == 1:
                return batches, lambda: InProcess(own), 1
            begin |= {"kind": "own", "model": str(folder)}
            return batches, lambda: WorkerProcess(begin, settings.timeout, environment), workers
        from opsml_cli.local.batch.hosted import HostedModel, types_of

        batches, model = RowBatches(self._files, types_of(folder), place), self._model
        return batches, lambda: HostedModel(self._root, model, settings.timeout, say), workers

    def _named(self, files: Sequence[InputFile]) -> Sequence[InputFile]:
        """A script sees the file under the name that it was registered with: content has no name of its own."""
        if len(files) != 1 or files[0].path.name == files[0].label or not self._settings.label:
            return files
        folder = Path.cwd() / ".input"
        folder.mkdir(exist_ok=True)
        link = folder / files[0].label
        link.unlink(missing_ok=True)
        link.symlink_to(files[0].path)
        return [InputFile(link, files[0].label)]

    def _tell_target(self, target: str | None) -> None:
        from opsml_cli.tables.blocks import BlockReader

        for file in self._files[:20]:
            try:
                columns = BlockReader(file.path, file.label).columns
            except OpsmlError:
                continue  # met again when it is scored
            if target is not None and columns is not None and target in columns:
                say(f"note: {file.label} holds the target column {target!r}, which is not read")
                return

    # What becomes of mini-batches

    def _keep(self, scored: Scored) -> None:
        batch, before = scored.batch, self._work.progress
        lines = scored.lines if self._settings.append else b""
        results = before.results + scored.count
        if batch.block is None:
            after = batch.index + len(batch.files)
            files = before.files + len(batch.files)
            self._work.keep(lines, replace(before, number=batch.number + 1, index=after, results=results, files=files))
            say(f"mini-batch {batch.number}: {batch.place}: {scored.count} results")
        else:
            if batch.index != before.index:
                before = self._whole(before, batch.index)
            row = batch.block.first + batch.block.rows
            self._work.keep(lines, replace(before, number=batch.number + 1, row=row, results=results))
        self._tell()

    def _whole(self, before: Progress, index: int) -> Progress:
        """The state when the file before the `index`-th is whole."""
        if before.row:
            say(f"{self._files[before.index].label}: scored {before.row:,} rows")
        files = before.files + bool(before.row)
        return replace(before, index=index, row=0, file_offset=before.offset, file_results=before.results, files=files)

    def _failed(self, scored: Scored, batches: Iterable[MiniBatch]) -> None:
        batch = scored.batch
        say(f"mini-batch {batch.number} ({batch.place}) failed: {scored.error}")
        before = self._work.progress
        if isinstance(batches, RowBatches):
            if batch.index == self._broken:
                return
            if batch.index != before.index:
                self._work.keep(b"", self._whole(before, batch.index))
                before = self._work.progress
            self._broken = batch.index
            batches.skip(batch.index)
            if before.row:
                say(f"{batch.files[0].label}: the results of its first {before.row:,} rows are dropped, as a file counts whole")
            self._work.drop_file(
                replace(before, number=batch.number + 1, index=batch.index + 1, row=0, failed=before.failed + 1)
            )
        else:
            after = batch.index + len(batch.files)
            failed = before.failed + len(batch.files)
            self._work.keep(b"", replace(before, number=batch.number + 1, index=after, failed=failed))
        threshold = self._settings.error_threshold
        if 0 <= threshold < self._work.progress.failed:
            self._write_status(self._work.progress)
            raise InvalidInputError(f"more than {threshold} files failed", cause=scored.error)
        self._tell()

    def _tell(self) -> None:
        now = time.monotonic()
        if now - self._said < _SAID_SECONDS:
            return
        self._said = now
        done = self._work.progress
        rate = (done.results - self._before) / max(now - self._begun, 1e-6)
        say(f"{done.results:,} results, {done.number:,} mini-batches, {done.failed} files failed, {rate:,.0f} results a second")
        self._write_status(done)

    def _write_status(self, done: Progress) -> None:
        from opsml_cli.content import files

        if self._status.parent.is_dir():
            state = {
                "results": done.results,
                "mini_batches": done.number,
                "failed_files": done.failed,
                "files": len(self._files),
            }
            files.write_atomic(self._status, json.dumps(state).encode())


def _copied(place: Path, model: Path, mount: str) -> Path:
    from opsml_cli.local.batch.scripted import mounted

    return mounted(place, model, mount)


def _verified(layout: Layout, model: str) -> Model:
    """The model, its files proven, and trusted: NotAllowedError otherwise."""
    from opsml_cli.local.models import LocalModels
    from opsml_cli.local.store import Store

    store = Store(layout.root)
    try:
        return LocalModels(layout, store).verified(parse_ref(model))
    finally:
        store.close()


def _key(layout: Layout, model: Model | None, source: Path, settings: Settings) -> str:
    """Names the work by all that decides its results."""
    from opsml_cli.local.pipelines.snapshot import hash_path

    content = source.name if source.parent == layout.blobs else hash_path(source)
    code = hash_path(Path.cwd()) if settings.script else ""
    # How it is run decides no result.
    said = replace(settings, workers=1, retries=0, timeout=0.0, error_threshold=0, logging_level="")
    parts = [model.sha256 if model is not None else "", content, code, asdict(said)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def say(text: str) -> None:
    """A line of the step's log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written. Arrow's threads may still be about, and where they are the interpreter's own end aborts (signal 6).
    os._exit(code)
