"""Run history: what Azure's data plane knows of a run that the resource manager does not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsml_cli.azureml.context import Context

_HISTORY = "/history/v1.0{ws}"
_MLFLOW = "/mlflow/v1.0{ws}/api/2.0/mlflow"
_PAGE = 100
_METADATA = {"selectRunMetadata": True, "selectRunDefinition": False, "selectJobSpecification": False}


@dataclass(frozen=True, slots=True)
class RunOutput:
    """A named output of a finished run. `type` is run history's word (`MLFlowModel`, `UriFolder`, `MLTable`)."""

    name: str
    asset_id: str
    type: str


class RunHistory:
    """The runs of one workspace, by id; a job's name is its run's id."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def find(self, run: str) -> Mapping[str, Any] | None:
        """The run; None when there is none of that id (a job that was accepted just now may have none yet)."""
        found: Mapping[str, Any] | None = self._context.rest.find(self._url(f"{_HISTORY}/runs/{run}"), "")
        return found

    def many(self, runs: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """Those of the runs that are there, by id, in a request for every hundred."""
        found: dict[str, Mapping[str, Any]] = {}
        for start in range(0, len(runs), _PAGE):
            wanted = {run: {"runId": run, **_METADATA} for run in runs[start : start + _PAGE]}
            answer = self._context.rest.send(
                "POST", self._url(f"{_HISTORY}/batchrundata"), "", {"requests": wanted}, repeatable=True
            )
            for run, data in ((answer.value or {}).get("successfulResults") or {}).items():
                found[run] = data.get("runMetadata") or {}
        return found

    def details(self, run: str) -> Mapping[str, Any]:
        """The run with `logFiles`: signed URLs by path."""
        found: Mapping[str, Any] = self._context.rest.get(self._url(f"{_HISTORY}/runs/{run}/details"), "")
        return found

    def children(self, run: str) -> Sequence[Mapping[str, Any]]:
        """Its direct children, oldest first."""
        return sorted(self._children(run), key=lambda child: (str(child.get("createdUtc") or ""), str(child.get("runId"))))

    def _children(self, run: str) -> Iterator[Mapping[str, Any]]:
        token: str | None = None
        while True:
            query = {} if token is None else {"$continuationtoken": token}
            last: Mapping[str, Any] = {}
            for page in self._context.rest.whole_pages(self._url(f"{_HISTORY}/runs/{run}/children"), "", **query):
                yield from page.get("value") or ()
                last = page
            # A page names the next one by its address, or by a token alone.
            following = last.get("continuationToken")
            if not following or following == token:
                return
            token = str(following)

    def outputs(self, run: str) -> Mapping[str, RunOutput]:
        """The named outputs that the run has registered so far."""
        body = {"runId": run, **_METADATA}
        answer = self._context.rest.send("POST", self._url(f"{_HISTORY}/rundata"), "", body, repeatable=True)
        metadata = (answer.value or {}).get("runMetadata") or {}
        return {
            name: RunOutput(name, str(value["assetId"]), str(value.get("type") or ""))
            for name, value in (metadata.get("outputs") or {}).items()
            if isinstance(value, Mapping) and value.get("assetId")
        }

    def resolved(self, asset_id: str) -> str | None:
        """Where an asset's content lies: the URI of a datastore's path."""
        url = self._url("/data/v1.0{ws}/dataversion/batchGetResolvedUris")
        answer = self._context.rest.send("POST", url, "", {"values": [asset_id]}, repeatable=True)
        found = ((answer.value or {}).get("values") or {}).get(asset_id) or {}
        return found.get("uri")

    def metrics(self, parent: str, experiment: str) -> Mapping[str, Mapping[str, float]]:
        """The last value of every metric, by child of `parent`. `experiment` is the experiment's id."""
        found: dict[str, Mapping[str, float]] = {}
        token: str | None = None
        while True:
            body: dict[str, Any] = {
                "experiment_ids": [experiment],
                "filter": f"tags.mlflow.parentRunId = '{parent}'",
                "max_results": _PAGE,
            }
            if token is not None:
                body["page_token"] = token
            page = self._context.rest.send("POST", self._url(f"{_MLFLOW}/runs/search"), "", body, repeatable=True).value or {}
            for run in page.get("runs") or ():
                found[str(run["info"]["run_id"])] = numbers(run.get("data") or {})
            following = page.get("next_page_token")
            if not following or following == token:
                return found
            token = following

    def _url(self, path: str) -> str:
        return self._context.data_plane + path


def numbers(data: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of an MLflow run's `data` that are finite numbers."""
    found = {}
    for metric in data.get("metrics") or ():
        try:
            value = float(metric["value"])
        except (KeyError, TypeError, ValueError):
            continue
        if math.isfinite(value):
            found[str(metric["key"])] = value
    return found
