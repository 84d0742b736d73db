"""Azure ML's YAML of managed online endpoints and deployments, as `az ml online-deployment create -f` reads it.

    document = documents.read_document(Path("deployment.yml"))
    found = document.read(lambda value: read_file(value, document.folder))

Every key of Azure's schema is known; another one is refused with 'did you mean'. Kubernetes is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.domain import deployment_sources, endpoint_yaml, names
from opsml_cli.domain.azure_fields import checked, choice, share, whole
from opsml_cli.domain.deployment import (
    CodeSource,
    Collection,
    DataCollector,
    DeploymentSettings,
    EndpointSpec,
    EnvironmentSource,
    ModelSource,
    ProbeSettings,
    RequestSettings,
)
from opsml_cli.domain.endpoint_yaml import ACCESS, KUBERNETES, READ_ONLY
from opsml_cli.domain.fields import FieldError, Fields

_ENDPOINT_KEYS = ("auth_mode", "traffic", "mirror_traffic", "public_network_access", "identity", "compute")
_DEPLOYMENT_KEYS = ("endpoint_name", "model", "code_configuration", "environment", "instance_type", "instance_count")


@dataclass(frozen=True, slots=True)
class DeploymentFile:
    """What a deployment's YAML says. `endpoint` and `name` None: the file leaves them out."""

    name: str | None
    endpoint: str | None
    model: ModelSource | None
    code: CodeSource | None
    environment: EnvironmentSource | None
    variables: Mapping[str, str]
    instance_type: str | None
    instance_count: int | None
    insights: bool | None
    settings: DeploymentSettings


def read_file(value: object, folder: Path) -> DeploymentFile | EndpointSpec:
    """An endpoint or a deployment, told apart by `$schema`, then by the keys. Relative paths start from `folder`. FieldError
    names the key."""
    fields = Fields(value)
    schema = str(fields.raw("$schema") or "").casefold()
    if "kubernetes" in schema:
        raise FieldError(("$schema",), "the file is for Kubernetes", KUBERNETES)
    if "batch" in schema:
        raise FieldError(("$schema",), "the file is for a batch endpoint", "opsml batch deploy takes those")
    if "onlineendpoint" in schema:
        return endpoint_yaml.endpoint(fields)
    if "onlinedeployment" in schema or any(key in fields for key in _DEPLOYMENT_KEYS):
        return _deployment(fields, folder)
    if "jobs" in fields or "component" in fields:
        raise FieldError((), "the file is no online endpoint or deployment", "it looks like a job: opsml pipeline run -f FILE")
    if any(key in fields for key in (*_ENDPOINT_KEYS, "name")):
        return endpoint_yaml.endpoint(fields)
    return _deployment(fields, folder)


def _deployment(fields: Fields, folder: Path) -> DeploymentFile:
    kind = (fields.text("type") or "managed").casefold()
    if kind == "kubernetes" or fields.raw("resources") is not None:
        raise FieldError(("type" if kind == "kubernetes" else "resources",), "the deployment is a Kubernetes one", KUBERNETES)
    if kind != "managed":
        raise fields.problem("type", "managed")
    for key in READ_ONLY:
        fields.raw(key)
    found = DeploymentFile(
        name=checked(fields, "name", lambda text: names.endpoint_name(text, "deployment name")),
        endpoint=checked(fields, "endpoint_name", names.endpoint_name),
        model=deployment_sources.model(fields, folder),
        code=deployment_sources.code(fields, folder),
        environment=deployment_sources.environment(fields, folder),
        variables=_variables(fields),
        instance_type=fields.text("instance_type"),
        instance_count=whole(fields, "instance_count", 1),
        insights=fields.flag("app_insights_enabled"),
        settings=_settings(fields),
    )
    fields.done()
    return found


def _settings(fields: Fields) -> DeploymentSettings:
    return DeploymentSettings(
        description=fields.text("description"),
        tags=fields.texts("tags"),
        properties=fields.texts("properties"),
        requests=_requests(fields),
        liveness=_probe(fields, "liveness_probe"),
        readiness=_probe(fields, "readiness_probe"),
        model_mount_path=fields.text("model_mount_path"),
        egress=choice(fields, "egress_public_network_access", ACCESS),
        private_network=fields.flag("private_network_connection"),
        default_scale=_scale(fields),
        collector=_collector(fields),
    )


def _scale(fields: Fields) -> bool:
    section = fields.section("scale_settings")
    if section is None:
        return False
    kind = (section.text("type") or "").replace("_", "").casefold()
    if kind == "targetutilization":
        raise section.problem("type", "default: managed deployments scale by Azure Monitor's autoscale rules")
    if kind != "default":
        raise section.problem("type", "default")
    for key in ("min_instances", "max_instances", "polling_interval", "target_utilization_percentage"):
        section.raw(key)  # Azure drops them of the default type
    section.done()
    return True


def _requests(fields: Fields) -> RequestSettings | None:
    section = fields.section("request_settings")
    if section is None:
        return None
    found = RequestSettings(
        timeout_ms=whole(section, "request_timeout_ms", 1),
        concurrency=whole(section, "max_concurrent_requests_per_instance", 1),
        queue_wait_ms=whole(section, "max_queue_wait_ms", 0),
    )
    section.done()
    return found


def _probe(fields: Fields, key: str) -> ProbeSettings | None:
    section = fields.section(key)
    if section is None:
        return None
    found = ProbeSettings(
        initial_delay=whole(section, "initial_delay", 0),
        period=whole(section, "period", 1),
        timeout=whole(section, "timeout", 1),
        success_threshold=whole(section, "success_threshold", 1),
        failure_threshold=whole(section, "failure_threshold", 1),
    )
    section.done()
    return found


def _collector(fields: Fields) -> DataCollector | None:
    section = fields.section("data_collector")
    if section is None:
        return None
    collections: dict[str, Collection] = {}
    given = section.section("collections")
    for name in given.keys() if given is not None else ():
        assert given is not None
        one = given.section(name)
        if one is None:
            raise given.problem(name, "a collection")
        data = one.raw("data")
        if data is not None and not isinstance(data, str):
            raise one.problem("data", "registered data, as azureml:NAME:VERSION")
        one.raw("sampling_rate")
        collections[name] = Collection(one.flag("enabled") is True, data, one.text("client_id"))
        one.done()
    rate = share(section, "sampling_rate")
    logging = section.section("request_logging")
    headers = logging.words("capture_headers") if logging is not None else ()
    if logging is not None:
        logging.done()
    rolling = choice(section, "rolling_rate", {"minute": "Minute", "hour": "Hour", "day": "Day"})
    section.done()
    return DataCollector(collections, rolling, rate, headers)


def _variables(fields: Fields) -> dict[str, str]:
    section = fields.section("environment_variables")
    if section is None:
        return {}
    found: dict[str, str] = {}
    keys = section.keys()
    for name in keys:
        value = section.raw(name)
        if isinstance(value, bool):
            found[name] = "true" if value else "false"
        elif value is None:
            found[name] = ""
        else:
            found[name] = section.text(name) or ""
        wrong = not name or "=" in name or "\0" in name + found[name]
        if wrong:
            raise section.problem(name, "a variable's name and text")
    return found
