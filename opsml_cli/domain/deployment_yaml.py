"""Azure ML's YAML of managed online endpoints and deployments, as `az ml online-deployment create -f` reads it.

    document = documents.read_document(Path("deployment.yml"))
    found = document.read(lambda value: read_file(value, document.folder))

Every key of Azure's schema is known; another one is refused with 'did you mean'. Kubernetes is refused by name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.domain import names
from opsml_cli.domain.deployment import (
    CodeSource,
    Collection,
    DataCollector,
    DeploymentSettings,
    EndpointSpec,
    EnvironmentKind,
    EnvironmentSource,
    ModelFormat,
    ModelSource,
    ProbeSettings,
    RequestSettings,
    Routes,
)
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import FieldError, Fields, Where

_AUTH = {"key": "Key", "aml_token": "AMLToken", "aad_token": "AADToken", "amltoken": "AMLToken", "aadtoken": "AADToken"}
_ACCESS = {"enabled": "Enabled", "disabled": "Disabled"}
_ENDPOINT_KEYS = ("auth_mode", "traffic", "mirror_traffic", "public_network_access", "identity", "compute")
_DEPLOYMENT_KEYS = ("endpoint_name", "model", "code_configuration", "environment", "instance_type", "instance_count")
# What `az … show` writes and `create` reads over.
_READ_ONLY = ("id", "provisioning_state", "creation_context", "scoring_uri", "openapi_uri", "location", "kind")
_KUBERNETES = (
    "opsml deploys managed online endpoints, and Kubernetes ones need a cluster that is attached to an Azure workspace"
)
_MODEL_ID = re.compile(r"/subscriptions/.+/models/(?P<name>[^/]+)/versions/(?P<version>[^/]+)/?\Z", re.IGNORECASE)
_MOST_MIRRORED = 50  # percent, Azure's own limit


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
        raise FieldError(("$schema",), "the file is for Kubernetes", _KUBERNETES)
    if "batch" in schema:
        raise FieldError(("$schema",), "the file is for a batch endpoint", "opsml batch deploy takes those")
    if "onlineendpoint" in schema:
        return _endpoint(fields)
    if "onlinedeployment" in schema or any(key in fields for key in _DEPLOYMENT_KEYS):
        return _deployment(fields, folder)
    if "jobs" in fields or "component" in fields:
        raise FieldError((), "the file is no online endpoint or deployment", "it looks like a job: opsml pipeline run -f FILE")
    if any(key in fields for key in (*_ENDPOINT_KEYS, "name")):
        return _endpoint(fields)
    return _deployment(fields, folder)


# Endpoints


def _endpoint(fields: Fields) -> EndpointSpec:
    if fields.raw("compute") is not None:
        raise FieldError(("compute",), "compute makes it a Kubernetes endpoint", _KUBERNETES)
    name = _checked(fields, "name", names.endpoint_name)
    if name is None:
        raise FieldError(("name",), "name is missing", "an endpoint's file names it")
    for key in _READ_ONLY:
        fields.raw(key)
    found = EndpointSpec(
        name=name,
        auth_mode=_choice(fields, "auth_mode", _AUTH) or "Key",
        description=fields.text("description"),
        tags=fields.texts("tags"),
        properties=fields.texts("properties"),
        traffic=_percents(fields, "traffic"),
        mirror_traffic=_mirror(fields),
        public_network_access=_choice(fields, "public_network_access", _ACCESS),
        identities=_identity(fields),
    )
    fields.done()
    return found


def _percents(fields: Fields, key: str) -> dict[str, int] | None:
    section = fields.section(key)
    if section is None:
        return None
    keys = section.keys()
    found = {name: _whole(section, name, 0) or 0 for name in keys}
    wrong = next((name for name, percent in found.items() if percent > 100), None)
    if wrong is not None:
        raise section.problem(wrong, "a percentage, 0 to 100")
    total = sum(found.values())
    if key == "traffic" and total not in (0, 100):
        raise FieldError(section.where, f"{key} adds up to {total} percent", "expected 100, or 0 for none")
    return found


def _mirror(fields: Fields) -> dict[str, int] | None:
    found = _percents(fields, "mirror_traffic")
    given = {name: percent for name, percent in (found or {}).items() if percent}
    if len(given) > 1:
        raise FieldError(("mirror_traffic",), "mirror_traffic names more than one deployment", "expected one at most")
    if any(percent > _MOST_MIRRORED for percent in given.values()):
        raise FieldError(("mirror_traffic",), "mirror_traffic is too much", f"expected 0 to {_MOST_MIRRORED} percent")
    return found


def _identity(fields: Fields) -> tuple[str, ...]:
    section = fields.section("identity")
    if section is None:
        return ()
    kind = (section.text("type") or "").replace("_", "").casefold()
    if kind not in ("systemassigned", "userassigned"):
        raise section.problem("type", "system_assigned or user_assigned")
    given = section.raw("user_assigned_identities")
    found: list[str] = []
    for each in given if isinstance(given, list) else [] if given is None else [given]:
        text = each.get("resource_id") if isinstance(each, Mapping) else each
        if not isinstance(text, str):
            raise section.problem("user_assigned_identities", "a list of resource ids")
        found.append(text.removeprefix("azureml:"))
    for key in ("principal_id", "tenant_id"):
        section.raw(key)
    section.done()
    if kind == "userassigned" and not found:
        raise FieldError((*section.where, "user_assigned_identities"), "identity.user_assigned_identities is missing")
    return tuple(found) if kind == "userassigned" else ()


# Deployments


def _deployment(fields: Fields, folder: Path) -> DeploymentFile:
    kind = (fields.text("type") or "managed").casefold()
    if kind == "kubernetes" or fields.raw("resources") is not None:
        raise FieldError(("type" if kind == "kubernetes" else "resources",), "the deployment is a Kubernetes one", _KUBERNETES)
    if kind != "managed":
        raise fields.problem("type", "managed")
    for key in _READ_ONLY:
        fields.raw(key)
    found = DeploymentFile(
        name=_checked(fields, "name", lambda text: names.endpoint_name(text, "deployment name")),
        endpoint=_checked(fields, "endpoint_name", names.endpoint_name),
        model=_model(fields, folder),
        code=_code(fields, folder),
        environment=_environment(fields, folder),
        variables=_variables(fields),
        instance_type=fields.text("instance_type"),
        instance_count=_whole(fields, "instance_count", 1),
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
        egress=_choice(fields, "egress_public_network_access", _ACCESS),
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
        timeout_ms=_whole(section, "request_timeout_ms", 1),
        concurrency=_whole(section, "max_concurrent_requests_per_instance", 1),
        queue_wait_ms=_whole(section, "max_queue_wait_ms", 0),
    )
    section.done()
    return found


def _probe(fields: Fields, key: str) -> ProbeSettings | None:
    section = fields.section(key)
    if section is None:
        return None
    found = ProbeSettings(
        initial_delay=_whole(section, "initial_delay", 0),
        period=_whole(section, "period", 1),
        timeout=_whole(section, "timeout", 1),
        success_threshold=_whole(section, "success_threshold", 1),
        failure_threshold=_whole(section, "failure_threshold", 1),
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
    rate = _share(section, "sampling_rate")
    logging = section.section("request_logging")
    headers = logging.words("capture_headers") if logging is not None else ()
    if logging is not None:
        logging.done()
    rolling = _choice(section, "rolling_rate", {"minute": "Minute", "hour": "Hour", "day": "Day"})
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


def _model(fields: Fields, folder: Path) -> ModelSource | None:
    value = fields.raw("model")
    if value is None:
        return None
    if isinstance(value, str):
        return model_source(value, folder, ("model",))
    section = Fields(value, (*fields.where, "model"))
    path, kind = section.text("path"), section.text("type")
    if path is None:
        raise FieldError(section.where, "model.path is missing", "a registered model is written as azureml:NAME:VERSION")
    known = {each.value: each for each in ModelFormat}
    if kind is not None and kind.casefold() not in known:
        raise section.problem("type", ", ".join(known))
    for key in ("id", "stage", "flavors", "datastore", "creation_context", "job_name", "latest_version", "utc_time_created"):
        section.raw(key)
    found = ModelSource(
        path=_path(path, folder),
        name=_checked(section, "name", lambda text: names.asset_name(text, "model name")),
        version=_checked(section, "version", names.version),
        format=known[kind.casefold()] if kind is not None else None,
        description=section.text("description"),
        tags=section.texts("tags"),
        properties=section.texts("properties"),
    )
    section.done()
    return found


def model_source(text: str, folder: Path, where: Where = ()) -> ModelSource:
    """A model as one text: `azureml:NAME:VERSION`, `azureml:NAME@latest`, a model's ARM id, or a path."""
    if text.casefold().startswith("azureml://registries/"):
        raise FieldError(
            where, f"{text!r} lies in a registry", "copy it into the workspace first: az ml model share, or download"
        )
    _inline(text, where)
    found = _MODEL_ID.match(text)
    if found is not None:
        text = f"azureml:{found['name']}:{found['version']}"
    if text.startswith("azureml:") and not text.startswith("azureml://"):
        try:
            return ModelSource(ref=names.parse_ref(text, "model name"))
        except UsageError as error:
            raise FieldError(where, error.message, error.cause) from error
    return ModelSource(path=_path(text, folder))


def _code(fields: Fields, folder: Path) -> CodeSource | None:
    section = fields.section("code_configuration")
    if section is None:
        return None
    code, entry = section.text("code"), section.text("scoring_script")
    section.done()
    if entry is None:
        raise FieldError(section.where, "code_configuration.scoring_script is missing", "expected the script's path in `code`")
    if code is None:
        raise FieldError(section.where, "code_configuration.code is missing", "expected the folder that holds the script")
    parts = entry.replace("\\", "/").split("/")
    if entry.startswith("/") or ".." in parts:
        raise section.problem("scoring_script", "a path inside the code folder")
    kept = code.startswith(("azureml:", "/subscriptions/"))
    return CodeSource(code if kept else _path(code, folder), "/".join(part for part in parts if part not in ("", ".")))


def _environment(fields: Fields, folder: Path) -> EnvironmentSource | None:
    value = fields.raw("environment")
    if value is None:
        return None
    if isinstance(value, str):
        _inline(value, (*fields.where, "environment"))
        return EnvironmentSource(EnvironmentKind.NAMED, reference=value)
    section = Fields(value, (*fields.where, "environment"))
    if "channels" in section or "dependencies" in section:
        raise FieldError(section.where, "environment holds a conda file's own keys", "write them below environment.conda_file")
    conda, file = section.raw("conda_file"), None
    if isinstance(conda, str):
        file, conda = _path(conda, folder), None
    build = section.section("build")
    context = build.text("path") if build is not None else None
    dockerfile = build.text("dockerfile_path") if build is not None else None
    if build is not None:
        build.done()
    for key in ("id", "datastore", "creation_context", "stage", "properties"):
        section.raw(key)
    found = EnvironmentSource(
        EnvironmentKind.INLINE,
        file=file,
        conda=None if conda is None else json.dumps(conda),
        image=section.text("image"),
        build=None if context is None else context if "://" in context else _path(context, folder),
        dockerfile=dockerfile,
        routes=_routes(section),
        os_type=_choice(section, "os_type", {"linux": "Linux", "windows": "Windows"}),
        name=section.text("name"),
        version=section.text("version"),
        description=section.text("description"),
        tags=section.texts("tags"),
    )
    section.done()
    if conda is not None and not isinstance(conda, Mapping):
        raise section.problem("conda_file", "a path, or a conda environment's channels and dependencies")
    if found.image is None and found.build is None:
        raise FieldError(section.where, "environment has neither image nor build", "a conda_file is installed into an image")
    if found.build is not None and (found.image or found.conda or found.file):
        raise FieldError((*section.where, "build"), "environment.build excludes image and conda_file", "keep one of them")
    return found


def _routes(fields: Fields) -> Routes | None:
    section = fields.section("inference_config")
    if section is None:
        return None
    found: list[tuple[int, str]] = []
    for key in ("liveness_route", "readiness_route", "scoring_route"):
        one = section.section(key)
        port, path = (_whole(one, "port", 1), one.text("path")) if one is not None else (None, None)
        if one is None or port is None or path is None:
            raise FieldError((*section.where, key), f"inference_config.{key} is incomplete", "expected its port and path")
        one.done()
        found.append((port, path))
    section.done()
    return Routes(*found)


# Values


def _inline(text: str, where: Where) -> None:
    if text.startswith("file:"):
        raise FieldError(where, f"{text!r} is a YAML file of its own", "write what it holds here")


def _path(text: str, folder: Path) -> str:
    """A local path from `folder`; an address stays as it is."""
    if "://" in text:
        return text
    return str(folder / Path(text.removeprefix("file:")).expanduser())


def _whole(fields: Fields, key: str, least: int) -> int | None:
    """A whole number; Azure's reader takes one that is written as text too."""
    value = fields.raw(key)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value.strip()):
        value = int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise fields.problem(key, f"a whole number of at least {least}")
    return value


def _share(fields: Fields, key: str) -> float | None:
    text = fields.text(key)
    try:
        share = None if text is None else float(text)
    except ValueError:
        share = -1.0
    if share is not None and not 0 <= share <= 1:
        raise fields.problem(key, "a share between 0 and 1")
    return share


def _choice(fields: Fields, key: str, known: Mapping[str, str]) -> str | None:
    text = fields.text(key)
    if text is None:
        return None
    if text.casefold() not in known:
        raise fields.problem(
            key, " or ".join(dict.fromkeys(each for each in known if known[each].casefold() == each or "_" in each))
        )
    return known[text.casefold()]


def _checked(fields: Fields, key: str, check: Callable[[str], str]) -> str | None:
    text = fields.text(key)
    if text is None:
        return None
    try:
        return check(text)
    except UsageError as error:
        raise FieldError((*fields.where, key), error.message, error.cause) from error
