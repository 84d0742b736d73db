"""Azure ML's YAML of batch endpoints and batch deployments.

document = documents.read_document(Path("deployment.yml"))
reading = document.read(lambda value: read_batch(value, document.folder))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from opsml_cli.domain.batch import PREDICTIONS, BatchSettings, OutputAction, RetrySettings, ScriptCode
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import FieldError, Fields

_SETTINGS = ("mini_batch_size", "max_concurrency_per_instance", "error_threshold", "retry_settings", "output_action",
             "output_file_name", "logging_level", "environment_variables")  # fmt: skip
_PIPELINE_SETTINGS = ("continue_on_step_failure", "force_rerun", "default_compute", "default_datastore")


@dataclass(frozen=True, slots=True)
class BatchReading:
    """What the YAML says. `endpoint_only`: it is an endpoint's, and has no deployment. `model` is `NAME[:V]` of a registered
    model, or a path (`model_path`)."""

    endpoint: str | None
    deployment: str | None
    endpoint_only: bool = False
    default: str | None = None
    model: str | None = None
    model_path: str | None = None
    code: ScriptCode | None = None
    component: str | None = None
    environment: object = None
    compute: str | None = None
    settings: BatchSettings = field(default_factory=BatchSettings)
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def read_batch(value: object, folder: Path) -> BatchReading:
    """Read the mapping `value`; relative paths start from `folder`. FieldError names the field."""
    fields = Fields(value)
    schema = (fields.text("$schema") or "").rpartition("/")[2].lower()
    marks = ("model", "component", "code_configuration", "compute", "endpoint_name", "settings", "type")
    if schema.startswith("batchendpoint") or not any(key in fields for key in marks):
        return _endpoint(fields)
    return _deployment(fields, folder)


def _endpoint(fields: Fields) -> BatchReading:
    if (mode := fields.text("auth_mode")) is not None and mode.lower() != "aad_token":
        raise fields.problem("auth_mode", "aad_token, the only one of batch endpoints")
    defaults = fields.section("defaults")
    default = None if defaults is None else defaults.text("deployment_name")
    if defaults is not None:
        defaults.done()
    for unused in ("properties", "identity", "location"):
        fields.raw(unused)
    reading = BatchReading(
        fields.text("name"), None, True, default, description=fields.text("description"), tags=fields.texts("tags")
    )
    fields.done()
    return reading


def _deployment(fields: Fields, folder: Path) -> BatchReading:
    kind = (fields.text("type") or ("pipeline" if "component" in fields else "model")).lower()
    if kind not in ("model", "pipeline"):
        raise fields.problem("type", "model or pipeline")
    for unused in ("properties", "code_path", "app_insights_enabled"):
        fields.raw(unused)
    name, endpoint = fields.text("name"), fields.text("endpoint_name")
    description, tags = fields.text("description"), fields.texts("tags")
    if kind == "pipeline":
        component = fields.raw("component")
        if not isinstance(component, str):
            raise fields.problem("component", "the path of a pipeline component's YAML, or azureml:NAME:VERSION")
        inner = fields.section("settings")
        for key in _PIPELINE_SETTINGS if inner is not None else ():
            inner.raw(key)  # type: ignore[union-attr]
        if inner is not None:
            inner.done()
        compute = fields.text("compute")
        path = component if component.startswith("azureml:") else str(folder / component.removeprefix("file:"))
        reading = BatchReading(endpoint, name, component=path, compute=_plain(compute), description=description, tags=tags)
        fields.done()
        return reading
    model, model_path = _model(fields, folder)
    reading = BatchReading(
        endpoint,
        name,
        model=model,
        model_path=model_path,
        code=_code(fields, folder),
        environment=_environment(fields, folder),
        compute=_plain(fields.text("compute")),
        settings=_settings(fields),
        description=description,
        tags=tags,
    )
    fields.done(_SETTINGS)
    return reading


def _model(fields: Fields, folder: Path) -> tuple[str | None, str | None]:
    value = fields.raw("model")
    if isinstance(value, Mapping):
        section = fields.section("model")
        assert section is not None
        path = section.text("path")
        for unused in ("name", "version", "type", "description", "tags"):
            section.raw(unused)
        section.done()
        if path is None:
            raise FieldError(("model", "path"), "model.path is missing")
        return None, str(folder / path)
    text = fields.text("model")
    if text is None or text.startswith("azureml:"):
        return (None if text is None else text.removeprefix("azureml:").removesuffix("@latest")), None
    return None, str(folder / text)


def _code(fields: Fields, folder: Path) -> ScriptCode | None:
    section = fields.section("code_configuration")
    if section is None:
        return None
    code, script = section.text("code"), section.text("scoring_script")
    for key, found in (("code", code), ("scoring_script", script)):
        if found is None:
            raise FieldError((*section.where, key), f"code_configuration.{key} is missing")
    section.done()
    return ScriptCode(str(folder / str(code)), str(script))


def _environment(fields: Fields, folder: Path) -> object:
    value = fields.raw("environment")
    if isinstance(value, str) and not value.startswith("azureml:"):
        return str(folder / value.removeprefix("file:"))
    if isinstance(value, Mapping) and isinstance(value.get("conda_file"), str):
        return {**value, "conda_file": str(folder / value["conda_file"])}
    return value


def _settings(fields: Fields) -> BatchSettings:
    """The settings stand below `settings`, or, as of old, at the top."""
    resources = fields.section("resources")
    count = None if resources is None else resources.integer("instance_count", least=1)
    if resources is not None:
        for unused in ("instance_type", "properties", "shm_size", "docker_args"):
            resources.raw(unused)
        resources.done()
    section = fields.section("settings")
    if section is not None:
        for key in _SETTINGS:
            if key in fields:
                raise FieldError((key,), f"{key} stands beside settings", "expected below settings")
    inner = fields if section is None else section
    retries = inner.section("retry_settings")
    most = seconds = None
    if retries is not None:
        most, seconds = retries.integer("max_retries"), retries.integer("timeout", least=1)
        retries.done()
    action = (inner.text("output_action") or OutputAction.APPEND_ROW).lower()
    if action not in tuple(OutputAction):
        raise inner.problem("output_action", " or ".join(OutputAction))
    count = inner.integer("instance_count", least=1) or count if section is not None else count
    settings = BatchSettings(
        mini_batch_size=inner.integer("mini_batch_size", least=1) or 10,
        max_concurrency_per_instance=inner.integer("max_concurrency_per_instance", least=1) or 1,
        instance_count=count or 1,
        error_threshold=_threshold(inner),
        retry_settings=RetrySettings(3 if most is None else most, 30.0 if seconds is None else float(seconds)),
        output_action=OutputAction(action),
        output_file_name=inner.text("output_file_name") or PREDICTIONS,
        logging_level=(inner.text("logging_level") or "info").lower(),
        environment_variables=inner.texts("environment_variables"),
    )
    if section is not None:
        section.done()
    try:
        settings.check()
    except UsageError as error:
        raise FieldError(inner.where, error.message, error.cause) from error
    return settings


def _threshold(fields: Fields) -> int:
    found = fields.integer("error_threshold", least=-1)
    return -1 if found is None else found


def _plain(compute: str | None) -> str | None:
    return None if compute is None else compute.removeprefix("azureml:")
