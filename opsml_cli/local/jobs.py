"""Jobs of a local workspace: begun, read, canceled; each trains in a process of its own (`local/runner.py`)."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.content import files
from opsml_cli.domain import names
from opsml_cli.domain.errors import ConflictError, ContractError, NotFoundError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.domain.job import AutoMLOutcome, AutoMLSpec, BestTrial, Job, JobKind, JobState, Trial
from opsml_cli.domain.text_bytes import whole_characters
from opsml_cli.local import job_process
from opsml_cli.local import job_records as records
from opsml_cli.local.clock import now
from opsml_cli.local.job_records import Record
from opsml_cli.local.layout import Layout
from opsml_cli.local.store import Store

if TYPE_CHECKING:
    import sqlite3

    from opsml_cli.domain.report import JobReport
    from opsml_cli.local.automl_request import Request
    from opsml_cli.local.data import LocalData

RUNNER = "opsml_cli.local.runner"
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
_LOG_CHUNK = 1 << 20


class LocalJobs:
    """The jobs of one local workspace.

    Running the same command again never duplicates work. `begin_automl` compares what was asked (the spec without its
    labels, and the content of its tables) with the jobs there are: when the newest job of the same specification is
    still unfinished, that job is returned; when its process died, that job goes on from its finished trials, under the
    same name. A job that completed, failed by itself or was canceled is left alone, and a new one begins."""

    def __init__(self, layout: Layout, store: Store, workspace: str, data: Callable[[], LocalData]) -> None:
        self._layout = layout
        self._store = store
        self._workspace = workspace
        self._data = data

    def begin_automl(self, spec: AutoMLSpec, dry_run: bool = False, *, parent: str | None = None) -> Job:
        """As the port says. The result is the job as this call left it, NotStarted. `attempts` above 1: an earlier job goes
        on; with any other state, or `started_at` set, it was joined.
        `parent` is the run that this job is a step of; steps are compared only with steps of the same run."""
        from opsml_cli.domain import automl_document
        from opsml_cli.local import automl_request

        asked = now()  # before a file given as data is registered: that counts as the training's time
        request = automl_request.resolve(spec, self._data(), dry_run=dry_run)
        identity = automl_document.fingerprint(request.spec, {**request.contents, "parent": parent or ""})
        if dry_run:
            return self._new(request, identity, parent, spec.name or _new_name(), asked).job
        if spec.name is not None:
            names.asset_name(spec.name, "job name")
        while True:
            earlier = self._same_work(identity, spec.name)
            if earlier is not None and not earlier.job.status.finished:
                return earlier.job
            # None when another process was quicker with the same work: look again.
            name = self._go_on(earlier) if earlier is not None else self._insert(request, identity, parent, spec.name, asked)
            if name is not None:
                break
        begun = self.get(name)
        job_process.launch(self._layout, self._store, name, RUNNER, [str(self._layout.root), name])
        return begun

    def get(self, name: str) -> Job:
        with self._store.read() as connection:
            record = records.load(connection, name)
            if record is None:
                raise self._unknown(connection, name)
        record = self._settled(record)
        if record.job.kind is not JobKind.AUTOML or record.job.status is JobState.COMPLETED:
            return record.job
        with self._store.read() as connection:
            trials = records.trials(connection, name)
        return replace(record.job, automl=so_far(record.job, trials))

    def list(
        self,
        *,
        kind: JobKind | None = None,
        status: JobState | None = None,
        experiment: str | None = None,
        parent: str | None = None,
        limit: int | None = None,
    ) -> Sequence[Job]:
        unfinished = [state for state in JobState if not state.finished]
        with self._store.read() as connection:
            running = records.select(connection, statuses=unfinished, parent=parent)
        for record in running:
            self._settled(record)
        with self._store.read() as connection:
            found = records.select(
                connection,
                kind=kind,
                statuses=[] if status is None else [status],
                experiment=experiment,
                parent=parent,
                limit=limit,
            )
        return [record.job for record in found]

    def cancel(self, name: str) -> Job:
        with self._store.write() as connection:
            record = records.load(connection, name)
            if record is None:
                raise self._unknown(connection, name)
            if not record.job.status.finished:
                record = record.with_job(status=JobState.CANCEL_REQUESTED)
                records.save(connection, record)
        if not record.job.status.finished:
            job_process.terminate(self._layout, record)
        return self.get(name)

    def describe(self, name: str, *, display_name: str | None = None, tags: Mapping[str, str] | None = None) -> Job:
        """Replace what people call the job, or its tags; None leaves them."""
        with self._store.write() as connection:
            record = records.load(connection, name)
            if record is None:
                raise self._unknown(connection, name)
            if display_name is not None:
                record = record.with_job(display_name=display_name)
            if tags is not None:
                record = record.with_job(tags=dict(tags))
            records.save(connection, record)
        return self.get(name)

    def record_failed(self, job: Job, reason: str) -> Job:
        """Record a job that was accepted and cannot begin: it has failed at once, and its log says why. ConflictError when
        the name is taken."""
        record = job_process.ended(Record(replace(job, workspace=self._workspace)), JobState.FAILED, reason)
        log = job_process.log_path(self._layout, job.name)
        with self._store.write() as connection:
            if not records.insert(connection, record):
                raise ConflictError(f"job {job.name} exists", fix="choose another name")
            log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            log.write_text(f"{now()} failed: {reason}\n", encoding="utf-8")
        return record.job

    def logs(self, name: str, position: int = 0) -> tuple[str, int]:
        with self._store.read() as connection:
            if records.load(connection, name) is None:
                raise self._unknown(connection, name)
        try:
            with job_process.log_path(self._layout, name).open("rb") as file:
                file.seek(position)
                content = file.read(_LOG_CHUNK)
        except FileNotFoundError:
            return "", position
        whole = whole_characters(content)
        return whole.decode("utf-8", "replace"), position + len(whole)

    def download(self, name: str, destination: str, output: str | None = None) -> Sequence[str]:
        """Copy below `destination`/JOB, each file proven to be what it was; all of them or none."""
        job = self.get(name)
        folder = self._layout.job(name)
        sources = [folder / "outputs", folder / "logs"]
        if output is not None:
            there = sorted(entry.name for entry in (folder / "outputs").glob("*"))
            if output not in there:
                raise NotFoundError(
                    f"job {job.name} has no output {output!r}",
                    cause=did_you_mean(output, there) or ("it has no outputs yet" if not there else None),
                )
            sources = [folder / "outputs" / output]
        final = Path(destination).expanduser().absolute() / job.name
        if final.exists():
            raise ConflictError(f"{final} exists already", fix="give another folder with --to, or remove it")
        with files.new_folder(final) as temporary:
            for source in sources:
                if source.is_dir():
                    _copy_tree(source, temporary / source.relative_to(folder))
                elif source.is_file():
                    _copy_proven(source, temporary / source.relative_to(folder))
        return sorted(str(path) for path in final.rglob("*") if path.is_file())

    def report(self, name: str) -> JobReport:
        from opsml_cli.local import job_report

        job = self.get(name)
        return job_report.read(job, self._layout.job(job.name) / "outputs")

    def _settled(self, record: Record) -> Record:
        """The record as it truly is. A run whose process turns out to be dead takes its commands with it."""
        settled = job_process.settle(self._layout, self._store, record)
        if settled.job.kind is not JobKind.AUTOML and settled.job.status.finished and not record.job.status.finished:
            from opsml_cli.local.pipelines.dead_runs import settle_steps

            settle_steps(self._layout, self._store, self, settled)
        return settled

    def _same_work(self, identity: str, name: str | None) -> Record | None:
        """The job that this request continues or joins; None when there is none. ConflictError when `name` is taken by
        other work."""
        with self._store.read() as connection:
            found = records.load(connection, name) if name is not None else records.with_fingerprint(connection, identity)
        if found is None:
            return None
        found = self._settled(found)
        mine = found.fingerprint == identity and (found.died or not found.job.status.finished)
        if name is not None and not mine:
            raise ConflictError(f"job {found.job.name} exists ({found.job.status})", fix="choose another name, or leave it out")
        return found if mine else None

    def _go_on(self, record: Record) -> str | None:
        """Take a job whose process died back to NotStarted; None when somebody else did so first."""
        with self._store.write() as connection:
            current = records.load(connection, record.job.name)
            if current is None or not current.died or current.attempt != record.attempt:
                return None
            attempt = current.attempt + 1
            again = replace(
                current, launcher=job_process.this_process(self._layout), process=None, attempt=attempt, died=False
            ).with_job(
                status=JobState.NOT_STARTED, error=None, started_at=None, ended_at=None, duration_seconds=None, attempts=attempt
            )  # fmt: skip
            records.save(connection, again)
        return record.job.name

    def _insert(self, request: Request, identity: str, parent: str | None, name: str | None, asked: str) -> str | None:
        """Record a new job; None when its name, or the same work, was begun by another process just now."""
        record = self._new(request, identity, parent, name or _new_name(), asked)
        with self._store.write() as connection:
            twin = records.with_fingerprint(connection, identity)
            if name is None and twin is not None and (twin.died or not twin.job.status.finished):
                return None
            return record.job.name if records.insert(connection, record) else None

    def _new(self, request: Request, identity: str, parent: str | None, name: str, asked: str) -> Record:
        from opsml_cli.domain import automl_document

        spec = request.spec
        return Record(
            job=Job(
                name=name,
                kind=JobKind.AUTOML,
                status=JobState.NOT_STARTED,
                experiment=spec.experiment,
                workspace=self._workspace,
                created_at=asked,
                parent=parent,
                tags=dict(spec.tags),
                spec=automl_document.to_document(spec),
                automl=AutoMLOutcome(task=spec.task, metric=spec.metric),
            ),
            launcher=job_process.this_process(self._layout),
            fingerprint=identity,
        )

    @staticmethod
    def _unknown(connection: sqlite3.Connection, name: str) -> NotFoundError:
        known = [record.job.name for record in records.select(connection, limit=200)]
        return NotFoundError(f"no job {name!r}", cause=did_you_mean(name, known), fix="opsml jobs list shows what there is")


def so_far(job: Job, trials: Sequence[Trial]) -> AutoMLOutcome:
    """What an unfinished training has found: its durable trials, ranked."""
    from opsml_cli.domain.metric_names import higher_is_better

    outcome = job.automl or AutoMLOutcome()
    metric = outcome.metric
    if metric is None or not trials:
        return outcome
    sign = -1.0 if higher_is_better(metric) else 1.0
    worst = float("inf")
    ordered = sorted(trials, key=lambda trial: sign * trial.metrics[metric] if metric in trial.metrics else worst)
    first = ordered[0]
    return replace(
        outcome,
        best=BestTrial(first.trial, first.algorithm, first.metrics) if metric in first.metrics else None,
        leaderboard=tuple(replace(trial, rank=rank) for rank, trial in enumerate(ordered, 1)),
    )


def _new_name() -> str:
    """Readable, sorted by time, and alone: `automl-20261124-0012-x7k2`."""
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M")
    return f"automl-{moment}-{''.join(secrets.choice(_LETTERS) for _ in range(4))}"


def _copy_tree(source: Path, destination: Path) -> None:
    for root, folders, found in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(files.TEMPORARY)]
        for name in found:
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                _copy_proven(path, destination / path.relative_to(source))


def _copy_proven(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    # A running job appends to its log: what is compared is the length that was there at first.
    length = source.stat().st_size
    with source.open("rb") as taken, destination.open("xb") as given:
        shutil.copyfileobj(taken, given)
    if _digest(source, length) != _digest(destination, length):
        raise ContractError(f"{destination.name} was not copied as it is", fix="check the disk and run the command again")


def _digest(path: Path, length: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while length > 0 and (block := file.read(min(length, 1 << 20))):
            digest.update(block)
            length -= len(block)
    return digest.hexdigest()
