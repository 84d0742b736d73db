"""How deployments are served: in the server's process, compiled, or in processes of their own; and what is shown of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from command_line import Opsml
from foreign_model import foreign
from serving_support import deploy, end_all, register_own, trained_once
from waiting import until

from opsml_cli.domain.endpoint import ScoreRequest
from opsml_cli.domain.model import Model, RegisterModel
from opsml_cli.domain.names import AssetRef
from opsml_cli.local.workspace import LocalWorkspace


@pytest.fixture
def place(workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    yield workspace
    end_all(workspace)


def linear_folder(folder: Path) -> Path:
    """A pickled model of scikit-learn, as anybody logs one: y = 3 x + 1."""
    import mlflow.sklearn
    import pandas as pd
    from mlflow.models import infer_signature
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.5]})
    model = make_pipeline(StandardScaler(), LinearRegression()).fit(rows, 3 * rows["x"] + 1)
    mlflow.sklearn.save_model(model, str(folder), signature=infer_signature(rows, model.predict(rows)), pip_requirements=[])
    return folder


def trusted(workspace: LocalWorkspace, folder: Path, name: str) -> Model:
    return workspace.models.register(RegisterModel(name, str(folder), trust=True)).model


def test_an_own_model_answers_in_the_servers_process(
    place: LocalWorkspace, tmp_path_factory: pytest.TempPathFactory, opsml: Opsml
) -> None:
    register_own(place, trained_once(tmp_path_factory.getbasetemp()))
    found = deploy(place, place.models.get(AssetRef("bank"))).deployment.serving
    assert found is not None
    assert (found.mode, found.reason, len(found.processes)) == ("in-process", None, 1)
    assert found.memory_bytes is not None and 2**24 < found.memory_bytes < 90 * 2**20
    assert found.start_seconds is not None and found.start_seconds < 5
    shown = json.loads(opsml("endpoints", "show", "bank", "-w", "local", "-o", "json").stdout)
    assert shown["serving"]["mode"] == "in-process"
    assert shown["deployments"][0]["serving"]["processes"] == list(found.processes)
    assert "in the server's process" in opsml("endpoints", "show", "bank", "-w", "local").stdout


def test_foreign_code_answers_in_a_process_of_its_own(place: LocalWorkspace, tmp_path: Path) -> None:
    model = trusted(place, foreign(tmp_path / "strange", tmp_path / "canary"), "strange")
    found = deploy(place, model, endpoint="strange").deployment.serving
    assert found is not None
    assert (found.mode, len(found.processes)) == ("process", 1)
    assert found.reason
    [host] = map(psutil.Process, found.processes)
    assert "bundle-" in host.cmdline()[1]
    # Nothing foreign, and no mlflow, in the server.
    loaded = {Path(each.path).name for each in host.parent().memory_maps()}  # type: ignore[union-attr]
    assert not any("pandas" in name or "sklearn" in name for name in loaded)


def test_a_pickled_pipeline_is_compiled_and_answers_from_its_compiled_form_after_a_restart(
    place: LocalWorkspace, tmp_path: Path
) -> None:
    model = trusted(place, linear_folder(tmp_path / "linear"), "linear")
    found = deploy(place, model, endpoint="linear").deployment.serving
    assert found is not None
    assert (found.mode, found.reason, len(found.processes)) == ("compiled", None, 1)
    until(lambda: not psutil.Process(found.processes[0]).children())
    request = ScoreRequest([{"x": 2.0}, {"x": -1.0}])
    expected = pytest.approx([7.0, -2.0])
    assert place.online_endpoints.score("linear", request).predictions == expected
    place.online_endpoints.stop("linear")
    again = place.online_endpoints.start("linear").deployments[0].serving
    assert again is not None
    assert again.mode == "compiled"
    assert place.online_endpoints.score("linear", request).predictions == expected
    journal = (place.layout.endpoint("linear") / "logs" / "server.jsonl").read_text()
    assert "the model could not be loaded" not in journal


_SCORE = """
import sys
from pathlib import Path
from opsml_cli.domain.endpoint import ScoreRequest
from opsml_cli.domain.names import AssetRef
from opsml_cli.local.workspace import LocalWorkspace

found = LocalWorkspace(Path(sys.argv[1])).models.score(AssetRef("strange"), ScoreRequest([{"x": 2}, {"x": 4}]))
print(list(found.predictions), {"mlflow", "pandas", "strange_loader_strange"} & sys.modules.keys() or "nothing foreign")
"""


def test_rows_scored_without_a_server_go_through_a_host_too(place: LocalWorkspace, tmp_path: Path) -> None:
    trusted(place, foreign(tmp_path / "strange", tmp_path / "canary"), "strange")
    done = subprocess.run([sys.executable, "-c", _SCORE, str(place.root)], capture_output=True, check=True, timeout=60)
    assert done.stdout.decode().strip() == "[4.0, 8.0] nothing foreign"
    assert (tmp_path / "canary").exists()
    assert list((place.root / "hosts" / "work").iterdir()) == []
