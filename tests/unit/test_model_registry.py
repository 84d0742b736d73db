"""The model registry of a local workspace: its files, their hashes, and scoring in this process. What holds on every workspace
is in tests/contract/test_models.py."""

from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from foreign_model import foreign
from jobs_live import ending_jobs, register, spec, until, wait

from opsml_cli.domain.endpoint import ScoreRequest
from opsml_cli.domain.errors import ContractError, InvalidInputError, NotAllowedError
from opsml_cli.domain.job import JobState
from opsml_cli.domain.model import Model, RegisterModel
from opsml_cli.domain.names import AssetRef
from opsml_cli.local import processes
from opsml_cli.local.job_process import lock_path
from opsml_cli.local.store import DATABASE
from opsml_cli.local.workspace import LocalWorkspace


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalWorkspace]:
    """A workspace with one model of our own, `people-label:1`. To be read only."""
    folder = tmp_path_factory.mktemp("models")
    workspace = LocalWorkspace(folder / ".opsml")
    with ending_jobs(workspace.root):
        done = wait(workspace, workspace.jobs.begin_automl(spec(register(workspace, folder))).name)
        assert done.status is JobState.COMPLETED, done.error
        # Copies are made of it: its process must have closed the database.
        until(lambda: not processes.held(lock_path(workspace.layout, done.name)), "the end of its process")
        yield workspace
        workspace.store.close()


@pytest.fixture
def copied(trained: LocalWorkspace, tmp_path: Path) -> Iterator[LocalWorkspace]:
    """A copy of that workspace, to be changed."""
    database = trained.root / DATABASE
    shutil.copytree(trained.root, tmp_path / "copy", ignore=shutil.ignore_patterns(f"{database.name}*"))
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(tmp_path / "copy" / database.name)) as target:
        source.backup(target)
    workspace = LocalWorkspace(tmp_path / "copy")
    yield workspace
    workspace.store.close()


OWN = AssetRef("people-label")


def own(workspace: LocalWorkspace) -> Model:
    return workspace.models.get(OWN)


def test_a_foreign_folder_needs_trust_and_its_code_does_not_run(workspace: LocalWorkspace, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    folder = foreign(tmp_path / "strange", canary)
    with pytest.raises(NotAllowedError, match="not trained by opsml") as caught:
        workspace.models.register(RegisterModel("strange", str(folder)))
    assert "--trust" in str(caught.value.fix)
    assert workspace.models.list() == []
    found = workspace.models.register(RegisterModel("strange", str(folder), trust=True, tags={"a": "b"}, description="d"))
    assert not found.unchanged
    model = found.model
    assert (model.name, model.version, model.own, model.trusted) == ("strange", "1", False, True)
    assert (dict(model.tags), model.description, model.job) == ({"a": "b"}, "d", None)
    assert model.signature is not None
    assert [column.name for column in model.signature.inputs] == ["x"]
    assert not canary.exists()
    result = workspace.models.score(AssetRef("strange"), ScoreRequest([{"x": 2}, {"x": "3"}]))
    assert list(result.predictions) == [4.0, 6.0]
    assert canary.read_text() == "ran"


def test_a_version_that_is_there_can_be_trusted_later(workspace: LocalWorkspace, tmp_path: Path) -> None:
    from opsml_cli.local.models import ModelFacts

    folder = foreign(tmp_path / "strange", tmp_path / "canary")
    with workspace.models.stage(folder, "later") as staged, workspace.store.write() as connection:
        workspace.models.adopt(connection, staged, "later", ModelFacts(own=False, trusted=False))
    with pytest.raises(NotAllowedError) as caught:
        workspace.models.verified(AssetRef("later"))
    assert "--version 1 --trust" in str(caught.value.fix)
    with pytest.raises(NotAllowedError):
        workspace.models.register(RegisterModel("later", str(folder), version="1"))
    found = workspace.models.register(RegisterModel("later", str(folder), version="1", trust=True))
    assert (found.model.version, found.model.trusted, found.unchanged) == ("1", True, False)
    assert workspace.models.register(RegisterModel("later", str(folder), trust=True)).unchanged
    assert workspace.models.verified(AssetRef("later")).version == "1"


def test_what_a_folder_claims_makes_it_no_model_of_ours(copied: LocalWorkspace, tmp_path: Path) -> None:
    folder = tmp_path / "claims"
    shutil.copytree(own(copied).path, folder)
    manifest = yaml.safe_load((folder / "MLmodel").read_text())
    (folder / "MLmodel").write_text(yaml.safe_dump({**manifest, "metadata": {"trained_by": "opsml", "own": True}}))
    with pytest.raises(NotAllowedError):
        copied.models.register(RegisterModel("claims", str(folder)))


def test_a_copy_of_our_own_model_is_known_by_its_hash(copied: LocalWorkspace, tmp_path: Path) -> None:
    folder = tmp_path / "same"
    shutil.copytree(own(copied).path, folder)
    found = copied.models.register(RegisterModel("again", str(folder))).model
    assert found.own
    assert (found.job, found.sha256, found.metrics) == (own(copied).job, own(copied).sha256, own(copied).metrics)


@pytest.mark.parametrize("change", ["change", "add", "remove", "link"])
def test_changed_files_are_never_loaded(copied: LocalWorkspace, change: str) -> None:
    folder = Path(own(copied).path)
    if change == "change":
        (folder / "MLmodel").write_text((folder / "MLmodel").read_text() + "\n")
    elif change == "add":
        (folder / "code" / "sitecustomize.py").write_text("raise SystemExit")
    elif change == "remove":
        next(path for path in sorted(folder.rglob("*.json"))).unlink()
    else:
        (folder / "extra").symlink_to("/etc/hostname")
    with pytest.raises((ContractError, InvalidInputError)):
        copied.models.verified(OWN)
    with pytest.raises((ContractError, InvalidInputError)):
        copied.models.score(OWN, ScoreRequest([{}]))
    with pytest.raises((ContractError, InvalidInputError)):
        copied.models.download(OWN, str(folder.parent.parent.parent / "out"))


def test_compiled_python_is_neither_counted_nor_kept(copied: LocalWorkspace) -> None:
    cache = Path(own(copied).path) / "code" / "__pycache__"
    cache.mkdir()
    (cache / "opsml_tabular_model.cpython-311.pyc").write_bytes(b"planted")
    copied.models.verified(OWN)
    assert not cache.exists()


def test_our_own_model_scores_and_names_what_is_wrong(trained: LocalWorkspace) -> None:
    row = {"age": 60, "income": 80.0, "city": "Ulm"}
    result = trained.models.score(OWN, ScoreRequest([row, {**row, "city": "Atlantis", "age": None}], proba=True))
    assert result.rows == 2
    assert set(result.predictions) <= {"yes", "no"}
    assert list(result.classes) == ["no", "yes"]
    assert all(sum(each) == pytest.approx(1) for each in result.probabilities)
    assert trained.models.score(OWN, ScoreRequest([row])).probabilities in ([], ())
    for wrong, column in (({"age": 60, "city": "Ulm"}, "income"), ({**row, "age": "old"}, "age")):
        with pytest.raises(InvalidInputError) as caught:
            trained.models.score(OWN, ScoreRequest([row, wrong]))
        assert column in caught.value.message
        assert "row 1" in f"{caught.value.message} {caught.value.cause}"


def _register(root: str, folder: str) -> str:
    workspace = LocalWorkspace(Path(root))
    try:
        return workspace.models.register(RegisterModel("busy", folder, trust=True)).model.version
    finally:
        workspace.store.close()


def test_many_at_once_get_a_version_each(workspace: LocalWorkspace, tmp_path: Path) -> None:
    folders = [str(foreign(tmp_path / f"m{number}", tmp_path / "canary")) for number in range(6)]
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        versions = pool.starmap(_register, [(str(workspace.root), folder) for folder in folders])
    assert sorted(versions) == ["1", "2", "3", "4", "5", "6"]
    for version in versions:
        workspace.models.verified(AssetRef("busy", version))
    assert not list((workspace.root / "models" / "busy").glob(".tmp*"))


def test_what_a_killed_registration_left_is_replaced(workspace: LocalWorkspace, tmp_path: Path) -> None:
    orphan = workspace.layout.model("strange", "1")
    orphan.mkdir(parents=True)
    (orphan / "half").write_text("made")
    folder = foreign(tmp_path / "one", tmp_path / "canary")
    model = workspace.models.register(RegisterModel("strange", str(folder), trust=True)).model
    assert not (Path(model.path) / "half").exists()
    workspace.models.verified(AssetRef("strange"))
