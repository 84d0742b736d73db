"""What a deployment's YAML serves: its model, its scoring script and its environment. Relative paths start from `folder`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from opsml_cli.domain import names
from opsml_cli.domain.azure_fields import checked, choice, whole
from opsml_cli.domain.deployment import CodeSource, EnvironmentKind, EnvironmentSource, ModelFormat, ModelSource, Routes
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import FieldError, Fields, Where

_MODEL_ID = re.compile(r"/subscriptions/.+/models/(?P<name>[^/]+)/versions/(?P<version>[^/]+)/?\Z", re.IGNORECASE)


def model(fields: Fields, folder: Path) -> ModelSource | None:
    value = fields.raw("model")
    if value is None:
        return None
    if isinstance(value, str):
        return _model_source(value, folder, ("model",))
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
        name=checked(section, "name", lambda text: names.asset_name(text, "model name")),
        version=checked(section, "version", names.version),
        format=known[kind.casefold()] if kind is not None else None,
        description=section.text("description"),
        tags=section.texts("tags"),
        properties=section.texts("properties"),
    )
    section.done()
    return found


def _model_source(text: str, folder: Path, where: Where = ()) -> ModelSource:
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


def code(fields: Fields, folder: Path) -> CodeSource | None:
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


def environment(fields: Fields, folder: Path) -> EnvironmentSource | None:
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
        os_type=choice(section, "os_type", {"linux": "Linux", "windows": "Windows"}),
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
        port, path = (whole(one, "port", 1), one.text("path")) if one is not None else (None, None)
        if one is None or port is None or path is None:
            raise FieldError((*section.where, key), f"inference_config.{key} is incomplete", "expected its port and path")
        one.done()
        found.append((port, path))
    section.done()
    return Routes(*found)


def _inline(text: str, where: Where) -> None:
    if text.startswith("file:"):
        raise FieldError(where, f"{text!r} is a YAML file of its own", "write what it holds here")


def _path(text: str, folder: Path) -> str:
    """A local path from `folder`; an address stays as it is."""
    if "://" in text:
        return text
    return str(folder / Path(text.removeprefix("file:")).expanduser())
