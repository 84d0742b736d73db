"""Which Python runs a deployment's model or script: opsml's own, or a private environment with what is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.deployment import EnvironmentKind, EnvironmentSource
from opsml_cli.domain.endpoint import DeploySpec
from opsml_cli.domain.errors import OpsmlError, UsageError
from opsml_cli.local.environments import building, wanted
from opsml_cli.local.environments.unmet import Unmet, unmet
from opsml_cli.local.environments.wanted import Wanted

if TYPE_CHECKING:
    from opsml_cli.domain.model import Model

# In the order in which they are looked for beside a script.
_FILES = ("conda.yaml", "conda.yml", "environment.yml", "environment.yaml", "requirements.txt")
_SERVERS = ("azureml-inference-server-http", "azureml-defaults")
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Packages:
    """`python` None: opsml's own interpreter. `notes` say what is not as it was asked for."""

    python: str | None = None
    notes: tuple[str, ...] = ()


def packages_of(spec: DeploySpec, model: Model | None) -> Packages:
    """Those of the deployment; an environment is made where it is missing, unless `spec.dry_run`. UsageError when nothing says
    what belongs in it; WorkFailedError when it cannot be made."""
    source = spec.environment
    own = model is not None and model.own and spec.code is None
    asked = _asked(spec, model, own=own)
    if asked is None:
        notes = _ignored(source)
        told = None if own or model is None or spec.code is not None else unmet_of(Path(model.path))
        return Packages(notes=(*notes, *([told] if told else [])))
    if own:
        raise UsageError(
            "a model that opsml trained needs no environment of its own: it answers in the server",
            fix="leave --environment out",
        )
    if spec.dry_run:
        python, notes = building.place_of(asked)
        planned = () if python.exists() else (f"makes an environment of {asked.source}",)
        return Packages(str(python), (*notes, *planned))
    made = building.ensure(asked)
    return Packages(str(made.python), made.notes)


def unmet_of(folder: Path) -> str | None:
    """Which requirements of an MLflow folder this Python does not meet, in words; None when it meets all."""
    try:
        found = wanted.of_model(folder)
    except OpsmlError as error:
        return f"the requirements of the model cannot be read: {error.message}"
    missing = unmet(found) if found is not None else []
    if not missing:
        return None
    return (
        f"this Python does not meet {len(missing)} of the model's requirements: {_listed(missing)}; "
        "--environment isolated deploys it with an environment that meets them"
    )


def _listed(missing: list[Unmet]) -> str:
    shown = ", ".join(map(str, missing[:_SHOWN]))
    return shown + (f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else "")


def _asked(spec: DeploySpec, model: Model | None, *, own: bool) -> Wanted | None:
    """What belongs in an environment of its own; None where there is to be none."""
    source = spec.environment
    if source is None or source.kind is EnvironmentKind.CURRENT:
        return None
    if source.kind is EnvironmentKind.FILE:
        assert source.file is not None
        return wanted.read(Path(source.file))
    if source.kind is EnvironmentKind.INLINE:
        found = None
        if source.conda is not None:
            found = wanted.of_conda_text(source.conda, f"the conda file of {source.title}", Path.cwd())
        elif source.file is not None:
            found = wanted.read(Path(source.file))
        return found if found is not None and _lacks(found) else None
    if source.kind is not EnvironmentKind.ISOLATED:
        return None
    found = _beside(spec, model)
    if found is None and not own:
        raise UsageError(
            "nothing says which packages an isolated environment holds",
            cause="there is no conda or requirements file in the code folder or the model's folder",
            fix="give the file: --environment requirements.txt",
        )
    return found or Wanted((), None, "the model")


def _lacks(found: Wanted) -> bool:
    """Whether packages of an image are missing here. Its server does not count, for opsml stands in its place; nor does the
    Python, where all packages are there."""
    return any(
        re.split(r"[^A-Za-z0-9._-]", each.requirement)[0].lower() not in _SERVERS for each in unmet(replace(found, python=None))
    )


def _beside(spec: DeploySpec, model: Model | None) -> Wanted | None:
    if spec.code is not None:
        folder = Path(spec.code.folder)
        found = next((folder / name for name in _FILES if (folder / name).is_file()), None)
        if found is not None:
            return wanted.read(found)
    return wanted.of_model(Path(model.path)) if model is not None else None


def _ignored(source: EnvironmentSource | None) -> tuple[str, ...]:
    if source is None or source.kind is EnvironmentKind.CURRENT or source.file or source.conda:
        return ()
    return (f"the environment {source.title} is Azure's: here opsml's own Python runs it; --environment FILE makes another",)
