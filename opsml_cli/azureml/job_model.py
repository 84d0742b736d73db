"""The model of a completed training, in the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.azureml.model_records import ModelFacts
from opsml_cli.domain import names
from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.pointer import ModelPointer

if TYPE_CHECKING:
    from opsml_cli.azureml.models import AzureModels
    from opsml_cli.azureml.run_history import RunHistory
    from opsml_cli.domain.job import AutoMLOutcome, AutoMLSpec, Job
    from opsml_cli.domain.model import Model

BEST_MODEL = "best_model"


def ensure(models: AzureModels, history: RunHistory, job: Job, spec: AutoMLSpec, outcome: AutoMLOutcome) -> ModelPointer | None:
    """The registered version of the job's best model, registered now unless it was before: looked for by the job, and then
    by the place where the model lies. None while Azure has not published the model, or for a job that named none."""
    if spec.model_name is None:
        return None
    try:
        held = next((one for one in models.list(spec.model_name) if names.key(one.job or "") == names.key(job.name)), None)
    except NotFoundError:
        held = None
    if held is not None:
        return _pointer(held)
    output = history.outputs(job.name).get(BEST_MODEL)
    uri = None if output is None else history.resolved(output.asset_id)
    if uri is None:
        return None
    facts = ModelFacts(
        job=job.name,
        algorithm=outcome.best.algorithm if outcome.best is not None else None,
        task=outcome.task.value if outcome.task is not None else None,
        metrics=outcome.best.metrics if outcome.best is not None else None,
        data=spec.data.asset,
    )
    return _pointer(models.adopt(spec.model_name, uri, facts).model)


def _pointer(model: Model) -> ModelPointer:
    return ModelPointer(model.name, model.version, model.path)
