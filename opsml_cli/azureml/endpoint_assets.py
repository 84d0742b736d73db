"""What a scoring script stands on in the workspace: its code, uploaded once, and its environment."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from opsml_cli.content.code_folder import files_below
from opsml_cli.content.ignore_file import IgnoreRules
from opsml_cli.domain.deployment import CodeSource, EnvironmentKind, EnvironmentSource
from opsml_cli.domain.errors import InvalidInputError, NotFoundError, UnsupportedError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from opsml_cli.azureml.context import Context

VERSION = "2024-10-01"
# Where packages are installed into when only they are named.
BASE_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest"
# Azure starts a scoring script by this server, so the environment must hold it.
SERVER = "azureml-inference-server-http"
_SERVERS = (SERVER, "azureml-defaults")


def code_id(context: Context, code: CodeSource, *, dry_run: bool) -> str:
    """The id of the code's version; its files are uploaded unless the workspace has them. InvalidInputError when the
    folder does not hold the script."""
    if code.registered:
        return _registered_code(context, code.folder)
    folder = Path(code.folder)
    if not folder.is_dir():
        raise NotFoundError(f"no code folder {folder}", fix="give the folder that holds the scoring script")
    found = files_below(folder, IgnoreRules.of(folder))
    if all(name != code.entry for name, _ in found):
        known = ", ".join(name for name, _ in found[:5]) or "no file"
        raise InvalidInputError(f"the code holds no file {code.entry!r}", cause=f"it holds {known}")
    digest = hashlib.sha256(folder.absolute().name.encode())
    for name, path in found:
        with path.open("rb") as file:
            digest.update(f"\n{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}".encode())
    sha256 = digest.hexdigest()
    name = "-".join((sha256[:8], sha256[8:12], sha256[12:16], sha256[16:20], sha256[20:32]))
    place = f"{context.place.arm_id}/codes/{name}/versions/1"
    if dry_run or context.rest.find(f"{{ws}}/codes/{name}/versions/1", VERSION) is not None:
        return place
    from opsml_cli.azureml.transfer import upload

    container = context.storage.container()
    below = f"LocalUpload/{sha256}/{folder.absolute().name}"
    for each, path in found:
        upload(container, f"{below}/{each}", path, lambda _: None)
    properties = {"codeUri": f"{container.url}/{quote(below)}", "isAnonymous": True, "properties": {"opsml.sha256": sha256}}
    made = context.rest.send("PUT", f"{{ws}}/codes/{name}/versions/1", VERSION, {"properties": properties}, repeatable=True)
    return str(made.value["id"])


def environment_id(context: Context, source: EnvironmentSource, *, dry_run: bool) -> str | None:
    """The id of a registered environment, or of the one that the source describes, which is made where it is missing."""
    if source.kind is EnvironmentKind.NAMED:
        return _named(context, source.reference or "")
    if source.kind in (EnvironmentKind.CURRENT, EnvironmentKind.ISOLATED):
        raise UnsupportedError(
            f"--environment {source.kind} is for this machine: on Azure a script runs in a container",
            fix="name a registered environment, a conda file or a requirements file",
        )
    from opsml_cli.azureml import sdk

    described = _described(source)

    def make(client: MLClient) -> str:
        from azure.ai.ml.entities import BuildContext, Environment

        environment = Environment(
            name=source.name,
            version=source.version,
            image=source.image or (None if source.build else BASE_IMAGE),
            conda_file=described,
            build=BuildContext(path=source.build, dockerfile_path=source.dockerfile) if source.build else None,
            inference_config=_routes(source),
            os_type=source.os_type,
            description=source.description,
            tags=dict(source.tags),
            is_anonymous=source.name is None,
        )
        if dry_run:
            return f"{context.place.arm_id}/environments/{environment.name}/versions/{environment.version or 'next'}"
        return str(client.environments.create_or_update(environment).id)

    return sdk.signed_in(context, f"environment {source.title}", make)


def lacks_server(source: EnvironmentSource) -> bool:
    """Whether the packages are named, and the server that runs a script on Azure is not among them."""
    if source.kind not in (EnvironmentKind.FILE, EnvironmentKind.INLINE) or source.routes is not None:
        return False
    described = _described(source)
    return described is not None and not any(each in json.dumps(described) for each in _SERVERS)


def _described(source: EnvironmentSource) -> dict[str, Any] | None:
    """The conda environment's content; a requirements file becomes one, for this Python and with Azure's server."""
    if source.conda is not None:
        found: dict[str, Any] = json.loads(source.conda)
        return found
    if source.file is None:
        return None
    path = Path(source.file)
    if path.suffix not in (".yml", ".yaml"):
        return _from_requirements(path)
    from opsml_cli.documents import read_document

    value = read_document(path).value
    if not isinstance(value, dict) or "dependencies" not in value:
        raise InvalidInputError(
            f"{path} is no conda file: it has no dependencies", fix="expected channels and dependencies, or a requirements.txt"
        )
    return value


def _from_requirements(path: Path) -> dict[str, Any]:
    import sys

    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path} cannot be read as a requirements file: {error}") from error
    wanted = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if any(line.startswith(("-r", "-c", "-e")) for line in wanted):
        raise InvalidInputError(f"{path} names other files, which Azure would not find", fix="write all requirements into it")
    if not any(each in line for each in _SERVERS for line in wanted):
        wanted.append(SERVER)
    python = f"python={sys.version_info.major}.{sys.version_info.minor}"
    return {"name": "model-env", "channels": ["conda-forge"], "dependencies": [python, "pip", {"pip": wanted}]}


def _routes(source: EnvironmentSource) -> dict[str, Any] | None:
    if source.routes is None:
        return None
    named = {"liveness_route": source.routes.liveness, "readiness_route": source.routes.readiness,
             "scoring_route": source.routes.scoring}  # fmt: skip
    return {name: {"port": port, "path": path} for name, (port, path) in named.items()}


def _registered_code(context: Context, reference: str) -> str:
    if reference.startswith("/"):
        return reference
    name, _, version = reference.removeprefix("azureml:").partition(":")
    if context.rest.find(f"{{ws}}/codes/{name}/versions/{version or '1'}", VERSION) is None:
        raise NotFoundError(f"no code {reference!r} in the workspace", fix="give the folder with the script instead")
    return f"{context.place.arm_id}/codes/{name}/versions/{version or '1'}"


def _named(context: Context, reference: str) -> str:
    """`NAME`, `NAME:VERSION`, `NAME@latest`, those behind `azureml:`, an ARM id or an address in a registry."""
    if reference.startswith(("azureml://", "/subscriptions/")):
        return reference
    name, _, version = reference.removeprefix("azureml:").partition(":")
    name, _, label = name.partition("@")
    path = f"{{ws}}/environments/{quote(name, safe='')}"
    if label not in ("", "latest"):
        raise UnsupportedError(f"the label {label!r} of environment {name} is unknown", fix=f"{name}@latest or {name}:VERSION")
    if version:
        found = context.rest.find(f"{path}/versions/{quote(version, safe='')}", VERSION)
    else:
        held = context.rest.find(path, VERSION)
        version = str(held["properties"].get("latestVersion") or "") if held is not None else ""
        found = held if version else None
    if found is None:
        raise NotFoundError(
            f"no environment {reference!r} in the workspace",
            fix="az ml environment list shows what there is; or give a conda file",
        )
    return f"{context.place.arm_id}/environments/{name}/versions/{version}"
