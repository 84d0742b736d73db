"""How endpoints, deployments and keys are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.endpoint import Deployed, Deployment, OnlineEndpoint, Serving
from opsml_cli.services.endpoints import DeletedEndpoint, ShownKeys


def _main(endpoint: OnlineEndpoint) -> Deployment | None:
    """The deployment that stands for the endpoint: the one with most traffic."""
    return max(endpoint.deployments, key=lambda each: endpoint.traffic.get(each.name, 0), default=None)


def _endpoint(endpoint: OnlineEndpoint, deployment: Deployment | None = None, *, unchanged: bool = False) -> dict[str, Any]:
    shown = deployment or _main(endpoint)
    return {
        "endpoint": endpoint.name,
        "deployment": shown.name if shown else None,
        "state": str(shown.state if shown else endpoint.state),
        "scoring_uri": endpoint.scoring_uri,
        "swagger_uri": endpoint.swagger_uri,
        "model": _model(shown) if shown else None,
        "script": shown.script if shown else None,
        "traffic": dict(endpoint.traffic),
        "insights": endpoint.insights,
        "unchanged": unchanged,
        "running": endpoint.running,
        "detail": (shown.detail if shown else None) or endpoint.detail,
        "created_at": endpoint.created_at,
        "serving": _serving(shown.serving) if shown else None,
        "deployments": [
            {
                "deployment": each.name,
                "state": str(each.state),
                "model": _model(each),
                "script": each.script,
                "traffic": endpoint.traffic.get(each.name, 0),
                "instance_count": each.instance_count,
                "instance_type": each.instance_type,
                "created_at": each.created_at,
                "detail": each.detail,
                "serving": _serving(each.serving),
            }
            for each in endpoint.deployments
        ],
        "unknown": dict(endpoint.unknown),
    }


def _model(deployment: Deployment) -> dict[str, str] | None:
    """None: a scoring script without a model."""
    pointer = deployment.model
    return {"name": pointer.name, "version": pointer.version} if pointer.name else None


def _serving(serving: Serving | None) -> dict[str, Any] | None:
    return None if serving is None else {**asdict(serving), "processes": list(serving.processes)}


def _serving_words(serving: Serving) -> str:
    """In a line: how, with what memory, how fast it was there."""
    where = {"in-process": "in the server's process", "compiled": "compiled, in the server's process"}
    count = len(serving.processes)
    words = [where.get(serving.mode, f"in {'a process' if count == 1 else f'{count} processes'} of its own")]
    if serving.memory_bytes is not None:
        words.append(f"{serving.memory_bytes / 2**20:.0f} MB")
    if serving.start_seconds is not None:
        words.append(f"loaded in {serving.start_seconds:.1f} s")
    if serving.python:
        words.append(f"Python {serving.python}")
    if serving.reason:
        words.append(f"not compiled: {serving.reason}")
    return ", ".join(words)


def _running(endpoint: OnlineEndpoint) -> str:
    """Whether it answers; where endpoints are never stopped, how the making of it stands."""
    if endpoint.running is None:
        return str(endpoint.state)
    return "running" if endpoint.running else "not running"


def _served(deployment: Deployment) -> str:
    pointer = deployment.model
    model = f"{pointer.name}:{pointer.version}" if pointer.name else ""
    if deployment.script is None:
        return model or "a script"
    return f"{deployment.script} ({model})" if model else deployment.script


def _view(endpoint: OnlineEndpoint, _width: int) -> str:
    lines = [f"{endpoint.name}: {_running(endpoint)}" + (f" ({endpoint.detail})" if endpoint.detail else "")]
    lines += [f"  scoring    {endpoint.scoring_uri or '-'}", f"  swagger    {endpoint.swagger_uri or '-'}"]
    lines.append(f"  insights   {'on' if endpoint.insights else 'off'}")
    width = max((len(each.name) for each in endpoint.deployments), default=0)
    for each in endpoint.deployments:
        share = f"{endpoint.traffic.get(each.name, 0)} %"
        line = f"  {each.name:<{width}}  {share:>5}  {each.state}  {_served(each)}"
        lines.append(line + (f"  ({each.detail})" if each.detail else ""))
        if each.serving is not None:
            lines.append(f"  {'':<{width}}  {_serving_words(each.serving)}")
    return "\n".join(lines)


def _list_view(endpoints: Sequence[OnlineEndpoint], _width: int) -> object:
    if not endpoints:
        return "no endpoints; opsml deploy makes one"
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for title in ("endpoint", "state", "model", "traffic", "scoring URI"):
        table.add_column(title, overflow="fold")
    for endpoint in endpoints:
        main = _main(endpoint)
        traffic = ", ".join(f"{name} {share}" for name, share in endpoint.traffic.items())
        model = _served(main) if main else "-"
        cells = (endpoint.name, _running(endpoint), model, traffic or "-", endpoint.scoring_uri or "-")
        table.add_row(*map(Text, cells))
    return table


def _deployed(done: Deployed) -> dict[str, Any]:
    document = _endpoint(done.endpoint, done.deployment, unchanged=done.unchanged)
    baked = done.canary
    document["canary"] = None if baked is None else {**asdict(baked), "objectives": list(baked.objectives)}
    return document


def _deployed_view(done: Deployed, _width: int) -> str:
    head = f"{done.endpoint.name}/{done.deployment.name}: {_served(done.deployment)} {done.deployment.state}"
    if done.unchanged:
        head += ", unchanged"
    lines = [head, f"  scoring    {done.endpoint.scoring_uri or '-'}"]
    lines.append("  traffic    " + (", ".join(f"{name} {share} %" for name, share in done.endpoint.traffic.items()) or "none"))
    if done.deployment.serving is not None:
        lines.append(f"  served     {_serving_words(done.deployment.serving)}")
    if done.canary is not None:
        baked = done.canary
        lines.append(
            f"  canary     {baked.percent} % for {baked.seconds:.0f}s, {baked.requests} requests; "
            + "; ".join(baked.objectives)
        )
    if done.trial is not None:
        lines.append(f"  try it     {done.trial}")
    return "\n".join(lines)


def _deployed_outputs(done: Deployed) -> dict[str, str]:
    return {
        "endpoint": done.endpoint.name,
        "deployment": done.deployment.name,
        "state": str(done.deployment.state),
        "scoring_uri": done.endpoint.scoring_uri or "",
    }


def _keys(keys: ShownKeys) -> dict[str, object]:
    return {"primary": keys.primary, "secondary": keys.secondary}


RENDERINGS: dict[type[Any], Rendering] = {
    OnlineEndpoint: Rendering(
        document=_endpoint,
        view=_view,
        list_view=_list_view,
        columns=("endpoint", "deployment", "state", "running", "scoring_uri", "model", "traffic", "insights"),
    ),
    Deployed: Rendering(
        document=_deployed,
        view=_deployed_view,
        columns=("endpoint", "deployment", "state", "scoring_uri", "swagger_uri", "model", "traffic", "insights", "unchanged"),
        outputs=_deployed_outputs,
    ),
    ShownKeys: Rendering(
        document=_keys,
        view=lambda keys, _width: (
            f"primary    {keys.primary}\nsecondary  {keys.secondary}"
            + ("" if keys.revealed else "\n(masked; --reveal shows them)")
        ),
        secrets=lambda keys: (keys.primary, keys.secondary) if keys.revealed else (),
    ),
    DeletedEndpoint: Rendering(
        document=lambda gone: {"endpoint": gone.endpoint, "deployment": gone.deployment, "deleted": True},
        view=lambda gone, _width: f"deleted {gone.endpoint}" + (f"/{gone.deployment}" if gone.deployment else ""),
    ),
}
