"""Names of every kind: none leaves its folder, and two spellings of one name are one thing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline_support import cleaned, small_pipeline
from serving_support import deploy, end_all, register_own, trained_once

from opsml_cli.domain import names
from opsml_cli.domain.data import RegisterData
from opsml_cli.domain.endpoint import DeploySpec
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.pipeline import PublishPipeline
from opsml_cli.domain.progress import Silent
from opsml_cli.local.layout import Layout
from opsml_cli.local.workspace import LocalWorkspace

ODD = ("..", ".", "", "../out", "a/b", "a\\b", "/etc/x", "C:/x", "a..b/", "con", "NUL", "Lpt1", "aux.txt", "COM9.csv", " a",
       "a ", "a\n", "a\x00b", "\u212aa", "\uff0e\uff0e", "\u017f1x", "é", "~", "%2e%2e", "-flag")  # fmt: skip
FOLDERS: dict[str, Callable[[Layout, str], Path]] = {
    "job": lambda layout, name: layout.job(name),
    "step": lambda layout, name: layout.step("run", name),
    "model": lambda layout, name: layout.model(name, "1"),
    "version": lambda layout, name: layout.model("bank", name),
    "endpoint": lambda layout, name: layout.endpoint(name),
}


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.parametrize("name", ODD)
def test_no_odd_name_becomes_a_path(tmp_path: Path, kind: str, name: str) -> None:
    with pytest.raises(UsageError):
        FOLDERS[kind](Layout(tmp_path), name)


@pytest.mark.parametrize("kind", FOLDERS)
def test_two_spellings_share_one_folder(tmp_path: Path, kind: str) -> None:
    assert FOLDERS[kind](Layout(tmp_path), "BankA1") == FOLDERS[kind](Layout(tmp_path), "bankA1")
    assert FOLDERS[kind](Layout(tmp_path), "BankA1").name in ("banka1", "1")


@pytest.mark.parametrize("name", ODD)
def test_references_are_checked_too(name: str) -> None:
    for text in (name, f"bank:{name}", f"azureml:{name}:1", f"{name}@latest"):
        with pytest.raises(UsageError):
            names.parse_ref(text)


COMMANDS = (
    "data register {} t.csv", "data register t t.csv --version {}", "data show {}", "data profile t:{}",
    "train automl --data t --target-column y --model-name {}", "train automl --data t --target-column y --experiment {}",
    "jobs show {}", "jobs logs {}", "jobs cancel {} --yes", "jobs download {}",
    "models show {}", "models register {} folder", "models download {}", "models register m folder --version {}",
    "deploy m --endpoint {}", "deploy m --endpoint bank --deployment {}", "endpoints show {}", "endpoints delete {} --yes",
    "endpoints keys {}", "logs {}", "insights show {}", "swagger {}",
    "pipeline publish p/pipeline.yml --name {}", "pipeline publish p/pipeline.yml --name p --version {}", "pipeline show {}",
    "pipeline trigger {}", "pipeline delete {} --yes",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_refuse_a_name_that_would_leave(
    opsml: Callable[..., tuple[int, str, str]], tmp_path: Path, command: str
) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,x\n2,z\n")
    small_pipeline(tmp_path / "p")
    before = {path for path in tmp_path.rglob("*") if ".opsml" not in path.parts and "home" not in path.parts}
    name = "../../out"
    code, out, err = opsml(*command.format(name).split(), "-o", "json")
    # 3: `data show ../x` and the like may say that nothing has this name.
    assert code in (2, 3), err
    assert out == ""
    assert json.loads(err.splitlines()[-1])["error"]["message"]
    after = {path for path in tmp_path.rglob("*") if ".opsml" not in path.parts and "home" not in path.parts}
    assert after == before
    assert not list(tmp_path.rglob("out*"))


def test_spellings_of_one_name_are_one_thing(
    workspace: LocalWorkspace, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,x\n2,z\n")
    (tmp_path / "u.csv").write_text("a,y\n1,x\n2,w\n")
    trained = trained_once(tmp_path_factory.getbasetemp())
    with cleaned(workspace):
        workspace.data.register(RegisterData("Table", str(tmp_path / "t.csv")), Silent())
        assert workspace.data.register(RegisterData("TABLE", str(tmp_path / "u.csv")), Silent()).asset.version == "2"
        assert len(workspace.data.list()) == 1

        pipeline = small_pipeline(tmp_path / "p")
        workspace.pipelines.publish(PublishPipeline(str(pipeline), "Small"))
        assert workspace.pipelines.publish(PublishPipeline(str(pipeline), "SMALL")).unchanged
        assert len(workspace.pipelines.list()) == 1

        model = register_own(workspace, trained, "Bank")
        assert register_own(workspace, trained, "BANK").version != model.version
        assert len(workspace.models.list()) == 1
        try:
            deploy(workspace, model, "Bank", "Blue")
            again = workspace.online_endpoints.begin_deploy(DeploySpec(AssetRef("BANK", model.version), "BANK", "BLUE"))
            assert again.unchanged
            [endpoint] = workspace.online_endpoints.list()
            assert [each.name for each in endpoint.deployments] == ["Blue"]
            assert [path.name for path in (workspace.root / "endpoints").iterdir()] == ["bank"]
        finally:
            end_all(workspace)
