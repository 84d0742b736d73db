"""`opsml deploy`"""

from __future__ import annotations

from typing import Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned
from opsml_cli.cli.session import Session
from opsml_cli.domain.endpoint import Deployed
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
    instance_type: Annotated[str | None, typer.Option("--instance-type", help="The size of machine, on Azure.")] = None,
    instance_count: Annotated[int, typer.Option("--instance-count", help="How many processes or machines answer.")] = 1,
    insights: Annotated[
        bool | None, typer.Option("--insights/--no-insights", help="Record requests; as it is unless given.")
    ] = None,
    trust: Annotated[bool, typer.Option("--trust", help="The folder is not opsml's own; its code may run here.")] = False,
    no_wait: options.NoWait = False,
    wait_timeout: options.WaitTimeout = None,
    dry_run: options.DryRun = False,
) -> Deployed | Planned:
    """Serve a model over HTTP behind an endpoint; ends when a real request was answered.

    Without MODEL it is the best model of the newest finished training.

    Example: opsml deploy bank:3 --endpoint bank --deployment green --traffic 10
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
    done = deploy_model(session.workspace, request, session.progress, wait=not no_wait, timeout=wait_timeout)
    if not dry_run:
        return done
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
