"""`opsml deploy`"""

from __future__ import annotations

from typing import Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned, Verdict
from opsml_cli.cli.session import Session
from opsml_cli.domain.endpoint import Deployed
from opsml_cli.domain.errors import UsageError
from opsml_cli.services.deploy import DeployRequest
from opsml_cli.services.deploy import deploy as deploy_model


def deploy(
    session: Session,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="NAME[:VERSION], or a folder in MLflow format.")
    ] = None,
    job: Annotated[str | None, typer.Option("--job", help="Deploy the best model of this training job.")] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", metavar="NAME", help="The endpoint; made when missing.")] = None,
    deployment: Annotated[
        str | None, typer.Option("--deployment", metavar="NAME", help="The deployment in it; blue unless given.")
    ] = None,
    traffic: Annotated[
        int | None, typer.Option("--traffic", metavar="PERCENT", help="Its share of the traffic, once it answers.")
    ] = None,
    canary: Annotated[
        int | None,
        typer.Option("--canary", metavar="PERCENT", help="First this share; all of it only when --slo held for --bake."),
    ] = None,
    bake: Annotated[
        float | None,
        typer.Option("--bake", parser=options.seconds, metavar="DURATION", help="How long the canary is watched (5m)."),
    ] = None,
    bake_requests: Annotated[
        int | None,
        typer.Option("--bake-requests", metavar="N", min=1, help="How many requests the canary must have had (20)."),
    ] = None,
    slo: Annotated[
        list[str] | None,
        typer.Option("--slo", metavar="CONDITIONS", help="What its requests must hold, as 'p95<50ms,errors<1%'; repeatable."),
    ] = None,
    instance_type: Annotated[str | None, typer.Option("--instance-type", help="The size of machine, on Azure.")] = None,
    instance_count: Annotated[int, typer.Option("--instance-count", help="How many processes or machines answer.")] = 1,
    insights: Annotated[
        bool | None, typer.Option("--insights/--no-insights", help="Record requests; as it is unless given.")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="The folder is not opsml's own; its code may run here.")] = False,
    no_wait: options.NoWait = False,
    wait_timeout: options.WaitTimeout = None,
    dry_run: options.DryRun = False,
) -> Deployed | Planned | Verdict:
    """Serve a model over HTTP behind an endpoint; ends when a real request was answered.

    Without MODEL it is the best model of the newest finished training.

    With --canary it is deployed beside what serves, under another name, and gets all of the traffic only when its own requests
    held what --slo says ('errors<1%' unless given) for as long as --bake. Otherwise the traffic goes back: exit code 10.

    Example: opsml deploy bank:3 --endpoint bank --deployment green --traffic 10
    Example: opsml deploy bank:3 --endpoint bank --canary 10 --bake 5m --slo 'p95<50ms,errors<1%'
    """
    request = DeployRequest(
        model=model,
        job=job,
        endpoint=endpoint,
        deployment=deployment,
        traffic=traffic,
        instance_type=instance_type,
        instance_count=instance_count,
        insights=insights,
        trust=trust,
        dry_run=dry_run,
    )
    error = None
    if canary is not None:
        if no_wait:
            raise UsageError("--canary is watched by this command", fix="leave --no-wait out")
        from opsml_cli.services.canary import BAKE_SECONDS, LEAST_REQUESTS, OBJECTIVES, Canary, deploy_canary

        trial = Canary(canary, bake or BAKE_SECONDS, slo or (OBJECTIVES,), bake_requests or LEAST_REQUESTS)
        done, error = deploy_canary(session.workspace, request, trial, session.progress, timeout=wait_timeout)
    elif bake is not None or bake_requests is not None or slo:
        raise UsageError("--bake, --bake-requests and --slo are for a canary", fix="add --canary PERCENT")
    else:
        done = deploy_model(session.workspace, request, session.progress, wait=not no_wait, timeout=wait_timeout)
    if not dry_run:
        return done if error is None else Verdict(done, error)
    pointer = done.deployment.model
    return Planned(
        "leave unchanged" if done.unchanged else "deploy",
        f"{done.endpoint.name}/{done.deployment.name}",
        {
            "model": f"{pointer.name}:{pointer.version}",
            "traffic": dict(done.endpoint.traffic),
            "insights": done.endpoint.insights,
            "unchanged": done.unchanged,
        },
    )
