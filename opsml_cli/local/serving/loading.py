"""From a registered model to one that answers: verified, loaded, and proven with a row."""

from __future__ import annotations

import http.client
import json
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from opsml_cli.domain.contract import BadRequest, Schema
from opsml_cli.domain.errors import ContractError, OpsmlError
from opsml_cli.domain.model import Model
from opsml_cli.domain.names import AssetRef
from opsml_cli.local.endpoint_records import Release
from opsml_cli.local.layout import Layout
from opsml_cli.local.models import LocalModels
from opsml_cli.local.serving import compiling, scorers
from opsml_cli.local.serving.hosting.copies import Copy, Source, bundle, make
from opsml_cli.local.serving.hosting.group import Bounds, HostGroup
from opsml_cli.local.serving.hosting.process import HostFailedError, HostProcess, Report, Start
from opsml_cli.local.serving.hosting.session import variables
from opsml_cli.local.serving.many_rows import ManyRows
from opsml_cli.local.serving.place import Place
from opsml_cli.local.serving.routing import Live
from opsml_cli.local.store import Store

PROOF_SECONDS = 60.0
MOST_HOSTS = 64


class NotServableError(Exception):
    """The release cannot be served; the text says why."""


def load(root: Path, endpoint: str, deployment: str, release: Release, report: Report) -> Live:
    """Bring the release to where it can answer: an own model in this process, after its files were verified and its example row
    scored; anything else in hosts of its own. NotServableError otherwise. `report` gets the lines of the hosts.

    Safe to call from any thread; it opens its own connection."""
    store = Store(root)
    begun = time.monotonic()
    try:
        if release.script is not None or not release.own:
            model = _trusted(root, store, release) if release.model else None
            return _foreign(root, endpoint, deployment, release, model, report)
        model = _verified(root, store, release)
        scorer = scorers.load(Path(model.path))
        row = dict(scorers.example_row(scorer.schema, Path(model.path)))
        scorer.schema.check([row])
        results = tuple(scorer.score([row], False))
        json.dumps(results)
    except OpsmlError as error:
        raise NotServableError(error.message + (f" ({error.cause})" if error.cause else "")) from error
    except HostFailedError as error:
        raise NotServableError(str(error)) from error
    except BadRequest as error:
        raise NotServableError(f"the model refuses its own example row: {error.message}") from error
    except Exception as error:
        raise NotServableError(f"the model does not load: {type(error).__name__}: {error}") from error
    finally:
        store.close()
    example = _example_body(scorer.schema, Path(model.path))
    seconds = round(time.monotonic() - begun, 3)
    return Live(
        deployment,
        release.revision,
        release.model,
        release.version,
        scorer,
        results,
        example,
        seconds,
        single=scorer.single,
        many=ManyRows(scorer.schema, scorer.score_columns),
    )


def _foreign(  # noqa: PLR0917
    root: Path, endpoint: str, deployment: str, release: Release, model: Model | None, report: Report
) -> Live:
    """The release in hosts of its own; where its model can be compiled, the compiled form in this process."""
    begun = time.monotonic()
    live = partial(Live, deployment, release.revision, release.model, release.version)
    final = compiling.place_of(Layout(root).endpoint(endpoint), release, bundle(root)) if release.script is None else None
    compiled, reason = _compiled(final)
    if compiled is None:
        group = hosts_of(root, endpoint, release, model, report, compiling=final is not None and reason is None)
        _open(group, release)
        for note in group.description.notes:
            report("warning", note)
        if final is not None and reason is None:
            reason = group.words.get("not_compiled")
            if reason is None and group.copy is not None and group.copy.settings.compiled is not None:
                compiling.keep(Path(group.copy.settings.compiled), final, group.description)
                compiled, reason = _compiled(final)
        if compiled is None:
            found = group.description
            return live(scorer=group, example_results=tuple(found.results), example=found.example, reason=reason)
        threading.Thread(target=group.close, name="host-end", daemon=True).start()
    return live(
        scorer=compiled.scorer,
        example_results=compiled.results,
        example=compiled.example,
        seconds=round(time.monotonic() - begun, 3),
        single=compiled.scorer.single,
        many=ManyRows(compiled.scorer.schema, compiled.scorer.score_columns),
        compiled=True,
    )


def _compiled(final: Path | None) -> tuple[compiling.Compiled | None, str | None]:
    """What was compiled before, or why that is not to be used."""
    if final is None:
        return None, None
    try:
        return compiling.load(final), None
    except Exception as error:  # the original answers where its compiled form does not
        return None, f"{type(error).__name__}: {error}"


def _open(group: HostGroup, release: Release) -> None:
    """Load in the hosts; where an environment is what fails, say that."""
    if release.python is not None and not Path(release.python).exists():
        raise NotServableError(f"its environment is gone: there is no {release.python}; deploy it again, and it is made again")
    try:
        group.open()
    except HostFailedError as error:
        from opsml_cli.local.environments.choosing import unmet_of

        told = unmet_of(Path(release.path)) if release.script is None and release.python is None else None
        if told is None:
            raise
        raise HostFailedError(f"{error}; {told}") from error


def hosts_of(
    root: Path, endpoint: str, release: Release, model: Model | None, report: Report, *, compiling: bool = False
) -> HostGroup:
    """The group of hosts of a release, not yet opened; `compiling`: one of them tries to."""
    place = Place(Layout(root).endpoint(endpoint))
    script = release.script
    source = Source(
        name=release.model,
        version=release.version,
        model=Path(model.path) if model is not None else None,
        model_sha256=release.sha256,
        code=script.folder(place.folder) if script is not None else None,
        code_sha256=script.sha256 if script is not None else "",
        entry=script.entry if script is not None else None,
        mount=script.mount if script is not None else "model",
    )
    count = _hosts(release)

    def start(copy: Copy) -> HostProcess:
        environment = variables(copy.variables, release.environment, python=release.python)
        return HostProcess(Start(bundle(root), environment, release.python), copy.working, report)

    settings = release.request_settings
    bounds = Bounds() if settings.concurrency is None else Bounds(requests=2 * settings.concurrency)
    return HostGroup(
        lambda: make(place.work, source, compiling=compiling),
        start,
        count,
        report,
        bounds=bounds,
        seconds=settings.timeout_seconds,
    )


def _hosts(release: Release) -> int:
    """How many hosts a front process keeps: one, unless the deployment's variable asks for more, as on Azure."""
    asked = release.environment.get("WORKER_COUNT", "1").strip()
    if not asked.isdigit() or not 1 <= int(asked) <= MOST_HOSTS:
        raise NotServableError(f"WORKER_COUNT is {asked!r}: expected a number from 1 to {MOST_HOSTS}")
    return int(asked)


def _trusted(root: Path, store: Store, release: Release) -> Model:
    """The model, when somebody answers for it; its files are proven where they are copied."""
    model = LocalModels(Layout(root), store).trusted(AssetRef(release.model, release.version))
    _check_hash(model, release)
    return model


def _verified(root: Path, store: Store, release: Release) -> Model:
    model = LocalModels(Layout(root), store).verified(AssetRef(release.model, release.version))
    _check_hash(model, release)
    return model


def _check_hash(model: Model, release: Release) -> None:
    if model.sha256 != release.sha256:
        raise ContractError(f"model {release.model}:{release.version} is not the one that was deployed")


def _example_body(schema: Schema, folder: Path) -> str:
    row = scorers.example_row(schema, folder)
    names = list(schema.names)
    split = {"columns": names, "index": [0], "data": [[row[name] for name in names]]}
    return json.dumps({"input_data": split}, default=str)


def prove(port: int, key: str, live: Live) -> None:
    """Send the example over real HTTP, as any client would; NotServableError unless it is answered with success.
    Where nobody knows what a scoring script takes it is ready when it has been loaded."""
    if live.example is None:
        return
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROOF_SECONDS)
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "User-Agent": "opsml-deploy",
        "x-opsml-revision": live.revision,
    }
    try:
        connection.request("POST", "/score", live.example.encode(), headers)
        reply = connection.getresponse()
        text = reply.read()
    except OSError as error:
        raise NotServableError(f"the first request was not answered: {error}") from error
    finally:
        connection.close()
    if reply.status != 200:
        raise NotServableError(f"the first request was answered with {reply.status}: {_message(text)}")


def _message(text: bytes) -> str:
    try:
        document: Any = json.loads(text)
        error = document.get("error", document)
        return str(error.get("message", error))[:500]
    except (ValueError, AttributeError):
        return text[:200].decode("utf-8", "replace")
