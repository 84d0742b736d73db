"""From a registered model to one that answers: verified, loaded, and proven with a row."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

from opsml_cli.domain.contract import BadRequest
from opsml_cli.domain.errors import ContractError, OpsmlError
from opsml_cli.domain.model import Model
from opsml_cli.domain.names import AssetRef
from opsml_cli.local.endpoint_records import Release
from opsml_cli.local.layout import Layout
from opsml_cli.local.models import LocalModels, quiet_mlflow
from opsml_cli.local.serving import scorers, script
from opsml_cli.local.serving.routing import Live
from opsml_cli.local.store import Store

PROOF_SECONDS = 60.0


class NotServableError(Exception):
    """The release cannot be served; the text says why."""


def load(root: Path, endpoint: str, deployment: str, release: Release) -> Live:
    """Verify the model's files, load them and score the example row in this process; a scoring script is loaded in its place.
    NotServableError otherwise.

    Safe to call from any thread; it opens its own connection."""
    store = Store(root)
    try:
        if release.script is not None:
            if release.model:
                _verified(root, store, release)
            scripted = script.load(Layout(root).endpoint(endpoint), release)
            return Live(deployment, release.revision, release.model, release.version, scripted)
        model = _verified(root, store, release)
        quiet_mlflow()
        scorer = scorers.load(Path(model.path), own=model.own)
        row = dict(scorers.example_row(scorer.schema, Path(model.path)))
        scorer.schema.check([row])
        results = tuple(scorer.score([row], False))
        json.dumps(results)
    except OpsmlError as error:
        raise NotServableError(error.message + (f" ({error.cause})" if error.cause else "")) from error
    except BadRequest as error:
        raise NotServableError(f"the model refuses its own example row: {error.message}") from error
    except (Exception, SystemExit) as error:  # a foreign model may raise anything
        raise NotServableError(f"the model does not load: {type(error).__name__}: {error}") from error
    finally:
        store.close()
    return Live(deployment, release.revision, release.model, release.version, scorer, example_results=results)


def _verified(root: Path, store: Store, release: Release) -> Model:
    model = LocalModels(Layout(root), store).verified(AssetRef(release.model, release.version))
    if model.sha256 != release.sha256:
        raise ContractError(f"model {release.model}:{release.version} is not the one that was deployed")
    return model


def prove(port: int, key: str, live: Live, folder: Path) -> None:
    """Send the example row over real HTTP, as any client would; NotServableError unless it is answered with a result.
    Nobody knows what a scoring script takes: it is ready when it has been loaded."""
    if isinstance(live.scorer, script.ScriptScorer):
        return
    row = scorers.example_row(live.scorer.schema, folder)
    names = list(live.scorer.schema.names)
    body = json.dumps({"input_data": {"columns": names, "index": [0], "data": [[row[name] for name in names]]}}, default=str)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROOF_SECONDS)
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": "application/json",
        "User-Agent": "opsml-deploy",
        "x-opsml-revision": live.revision,
    }
    try:
        connection.request("POST", "/score", body, headers)
        reply = connection.getresponse()
        text = reply.read()
    except OSError as error:
        raise NotServableError(f"the first request was not answered: {error}") from error
    finally:
        connection.close()
    if reply.status != 200:
        raise NotServableError(f"the first request was answered with {reply.status}: {_message(text)}")
    results = json.loads(text)
    if not isinstance(results, list) or len(results) != 1:
        raise NotServableError("the first request was not answered with one result")


def _message(text: bytes) -> str:
    try:
        document: Any = json.loads(text)
        error = document.get("error", document)
        return str(error.get("message", error))[:500]
    except (ValueError, AttributeError):
        return text[:200].decode("utf-8", "replace")
