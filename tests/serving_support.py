"""Real models for the serving tests: one that opsml trained, and foreign ones that somebody trusted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from waiting import until

from opsml_cli.domain.endpoint import Deployed, DeploymentState, DeploySpec, OnlineEndpoint
from opsml_cli.domain.job import AutoMLSpec, Guardrail, Limits, TableSource, Task, Trial
from opsml_cli.domain.model import Model
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.workspace import Workspace
from opsml_cli.local.models import ModelFacts
from opsml_cli.local.workspace import LocalWorkspace

ROW = {"age": 41, "job": "technician", "balance": 12.5}


class Quiet:
    """Events that nobody hears."""

    def log(self, text: str) -> None: ...
    def phase(self, text: str) -> None: ...
    def guardrails(self, found: tuple[Guardrail, ...]) -> None: ...
    def trial(self, trial: Trial) -> None: ...
    def finished_trials(self) -> tuple[Trial, ...]:
        return ()

    def stop_requested(self) -> bool:
        return False


def train_folder(folder: Path, rows: int = 400) -> Path:
    """A small binary classifier, trained by the real engine; its folder in MLflow format."""
    import numpy as np
    import pandas as pd

    from opsml_cli.local.automl.engine import Tables, train

    random = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 90, rows),
            "job": random.choice(["technician", "admin.", "retired"], rows),
            "balance": random.normal(0, 100, rows).round(2),
        }
    )
    odds = (frame["age"] - 50) / 8 + (frame["job"] == "retired") * 2 + random.normal(0, 1, rows)
    frame["y"] = np.where(odds > 0, "yes", "no")
    spec = AutoMLSpec(
        data=TableSource(path="rows"),
        target_column="y",
        task=Task.CLASSIFICATION,
        limits=Limits(timeout_seconds=20, max_trials=1),
        cross_validations=2,
        test_size=0.2,
        allowed_algorithms=("LightGBM",),
    )
    folder.mkdir(parents=True, exist_ok=True)
    train(spec, Tables(frame), folder, Quiet())
    return folder / "outputs" / "model"


_trained: dict[Path, Path] = {}


def trained_once(base: Path) -> Path:
    """The model folder of this test run, trained by whoever asks first. `base` is the run's own temporary folder."""
    if base not in _trained:
        _trained[base] = train_folder(base / "serving-model")
    return _trained[base]


def register_own(workspace: LocalWorkspace, source: Path, name: str = "bank") -> Model:
    """Register `source` as what this workspace trained."""
    with workspace.models.stage(source, name) as staged, workspace.store.write() as connection:
        return workspace.models.adopt(connection, staged, name, ModelFacts(own=True, trusted=True, task="classification"))


_FOREIGN = """
import pandas as pd

{head}

class Model:
    def predict(self, frame, params=None):
        {body}

def _load_pyfunc(path):
    {load}
    return Model()
"""


def foreign_folder(
    folder: Path,
    *,
    body: str = "return frame['age'] * 2.0",
    load: str = "pass",
    head: str = "",
    name: str = "foreign_loader",
    example: bool = False,
) -> Path:
    """A model of other people: an MLflow folder whose own code answers; `example`: with an input example."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    code = folder.with_name(folder.name + "-code")
    code.mkdir(parents=True)
    (code / f"{name}.py").write_text(_FOREIGN.format(body=body, load=load, head=head))
    signature = ModelSignature(Schema([ColSpec("long", "age"), ColSpec("string", "job"), ColSpec("double", "balance")]))
    data = code / "data"
    data.mkdir()
    (data / "nothing.json").write_text("{}")
    mlflow.pyfunc.save_model(
        str(folder),
        loader_module=name,
        data_path=str(data),
        code_paths=[str(code / f"{name}.py")],
        signature=signature,
        pip_requirements=["pandas"],
    )
    shutil.rmtree(code)
    if example:
        split = {"columns": list(ROW), "data": [list(ROW.values())]}
        (folder / "serving_input_example.json").write_text(json.dumps({"dataframe_split": split}))
    return folder


def wait_ready(workspace: LocalWorkspace, endpoint: str, deployment: str = "blue", seconds: float = 60.0) -> OnlineEndpoint:
    """The endpoint once the deployment's state is final."""

    def finished() -> OnlineEndpoint | None:
        found = workspace.online_endpoints.get(endpoint)
        state = next(each.state for each in found.deployments if each.name == deployment)
        return found if state.finished else None

    return until(finished, seconds)


def deploy(
    workspace: LocalWorkspace, model: Model, endpoint: str = "bank", deployment: str = "blue", **options: object
) -> Deployed:
    """Deploy and wait; fails the test when the deployment fails."""
    spec = DeploySpec(AssetRef(model.name, model.version), endpoint, deployment, **options)  # type: ignore[arg-type]
    begun = workspace.online_endpoints.begin_deploy(spec)
    found = wait_ready(workspace, endpoint, deployment)
    ready = next(each for each in found.deployments if each.name == deployment)
    assert ready.state is DeploymentState.SUCCEEDED, ready.detail
    return Deployed(found, ready, begun.unchanged)


def until_gone(workspace: Workspace, endpoint: str) -> None:
    """Wait until nothing of the endpoint is left: Azure accepts a deletion, and does it later."""
    until(lambda: endpoint not in {each.name for each in workspace.online_endpoints.list()})


def payload(row: dict[str, object] | None = None) -> bytes:
    return json.dumps({"data": [row or ROW]}).encode()


def end_all(workspace: LocalWorkspace) -> None:
    """End every server of the workspace."""
    for endpoint in workspace.online_endpoints.list():
        workspace.online_endpoints.delete(endpoint.name)
