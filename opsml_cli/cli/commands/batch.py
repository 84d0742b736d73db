"""`opsml batch …`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned
from opsml_cli.cli.session import Session
from opsml_cli.domain.errors import UsageError
from opsml_cli.services.batch import BatchDeleted, BatchInput, BatchResult
from opsml_cli.services.batch import deploy as deploy_batch
from opsml_cli.services.batch import run as run_batch

if TYPE_CHECKING:
    from opsml_cli.cli.batch_words import DeployWords
    from opsml_cli.domain.batch import BatchDeployed, BatchEndpoint
    from opsml_cli.domain.batch_yaml import BatchReading


def deploy(
    session: Session,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="NAME[:VERSION], or a folder in MLflow format.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", "-f", metavar="FILE", help="A batch endpoint or deployment in Azure ML's YAML.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a value of --file, as settings.mini_batch_size=5; repeatable."
        ),
    ] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", metavar="NAME", help="The endpoint; made when missing.")] = None,
    deployment: Annotated[
        str | None, typer.Option("--deployment", metavar="NAME", help="The deployment in it. [default: main]")
    ] = None,
    code: Annotated[str | None, typer.Option("--code", metavar="DIR", help="The folder of a scoring script.")] = None,
    scoring_script: Annotated[
        str | None, typer.Option("--scoring-script", metavar="FILE", help="The script in --code: init() and run(mini_batch).")
    ] = None,
    component: Annotated[
        str | None, typer.Option("--component", metavar="FILE", help="A pipeline component to run in place of a model.")
    ] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", metavar="FILE|NAME", help="The script's environment, on Azure.")
    ] = None,
    compute: Annotated[str | None, typer.Option("--compute", metavar="NAME", help="The compute of runs, on Azure.")] = None,
    mini_batch_size: Annotated[
        int | None, typer.Option("--mini-batch-size", min=1, help="Files that a script is handed at once. [default: 10]")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--max-concurrency-per-instance", min=1, help="Mini-batches scored at once on an instance. [default: 1]"),
    ] = None,
    instance_count: Annotated[
        int | None, typer.Option("--instance-count", min=1, help="Instances that score. [default: 1]")
    ] = None,
    error_threshold: Annotated[
        int | None, typer.Option("--error-threshold", min=-1, help="Files that may fail; -1 for any number. [default: -1]")
    ] = None,
    max_retries: Annotated[
        int | None, typer.Option("--max-retries", min=0, help="Retries of a mini-batch that failed or timed out. [default: 3]")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", parser=options.seconds, metavar="DURATION", help="Time for one mini-batch. [default: 30s]"),
    ] = None,
    output_action: Annotated[
        str | None, typer.Option("--output-action", help="append_row or summary_only. [default: append_row]")
    ] = None,
    output_file_name: Annotated[
        str | None, typer.Option("--output-file-name", metavar="NAME", help="The file of results. [default: predictions.csv]")
    ] = None,
    logging_level: Annotated[
        str | None, typer.Option("--logging-level", help="warning, info or debug. [default: info]")
    ] = None,
    variable: Annotated[
        list[str] | None,
        typer.Option("--env-var", metavar="NAME=VALUE", help="An environment variable of the deployment; repeatable."),
    ] = None,
    default: Annotated[
        bool | None,
        typer.Option("--default/--no-default", help="Make it the default deployment. [default: when the endpoint has none]"),
    ] = None,
    description: options.Description = None,
    tag: options.Tags = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run foreign code (a script, a foreign model) on this machine.")
    ] = False,
    no_wait: options.NoWait = False,
    wait_timeout: options.WaitTimeout = None,
    dry_run: options.DryRun = False,
) -> BatchDeployed | BatchEndpoint | Planned:
    """Deploy a model, a scoring script or a pipeline component to a batch endpoint.

    Example: opsml batch deploy bank:3 --endpoint nightly
    Example: opsml batch deploy --code src --scoring-script score.py --endpoint texts --trust
    Example: opsml batch deploy -f deployment.yml --set settings.mini_batch_size=5
    """
    from opsml_cli.cli.batch_words import DeployWords, read, request

    words = DeployWords(
        endpoint=endpoint,
        deployment=deployment,
        code=code,
        scoring_script=scoring_script,
        component=component,
        environment=environment,
        compute=compute,
        settings={
            "mini_batch_size": mini_batch_size,
            "max_concurrency_per_instance": concurrency,
            "instance_count": instance_count,
            "error_threshold": error_threshold,
            "max_retries": max_retries,
            "timeout": timeout,
            "output_action": output_action,
            "output_file_name": output_file_name,
            "logging_level": logging_level,
        },
        environment_variables=options.pairs(variable, "--env-var"),
        default=default,
        description=description,
        tags=options.pairs(tag, "--tag"),
        trust=trust,
        dry_run=dry_run,
    )
    sets = options.pairs(set_, "--set")
    if sets and file is None:
        raise UsageError("--set overrides values of a file", fix="add --file FILE")
    reading = None if file is None else read(file, sets)
    if reading is not None and reading.endpoint_only:
        return _endpoint(session, reading, words)
    spec, named = request(reading, words, model)
    done = deploy_batch(session.workspace, spec, named, session.progress, wait=not no_wait, timeout=wait_timeout)
    if not dry_run:
        return done
    details: dict[str, object] = {"unchanged": done.unchanged}
    if done.deployment.model is not None:
        details["model"] = f"{done.deployment.model.name}:{done.deployment.model.version}"
    if done.deployment.scoring_script is not None:
        details["scoring_script"] = done.deployment.scoring_script
    if done.deployment.component is not None:
        details["component"] = done.deployment.component
    action = "leave unchanged" if done.unchanged else "deploy"
    return Planned(action, f"{done.endpoint.name}/{done.deployment.name}", details)


def _endpoint(session: Session, reading: BatchReading, words: DeployWords) -> BatchEndpoint | Planned:
    """Make the endpoint of a file, or change it."""
    from opsml_cli.domain.batch import PutBatchEndpoint

    name = session.require(words.endpoint or reading.endpoint, "--endpoint")
    default = words.deployment or reading.default
    put = PutBatchEndpoint(
        name,
        default,
        words.description or reading.description,
        {**reading.tags, **words.tags} or None,
        words.dry_run,
    )
    made = session.workspace.batch_endpoints.put(put)
    if words.dry_run:
        return Planned("create or change", f"batch endpoint {made.name}", {"default": made.default, "tags": dict(made.tags)})
    return made


def run(
    session: Session,
    endpoint: options.EndpointName,
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[INPUT]", help="Registered data as NAME[:VERSION], or a file or folder, which is registered first."
        ),
    ] = None,
    deployment: Annotated[
        str | None, typer.Option("--deployment", metavar="NAME", help="The deployment; otherwise the default one.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="INPUT=VALUE", help="An input of a pipeline: a literal, or data as NAME[:V]; repeatable."
        ),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option("--experiment", help="The experiment of the run; otherwise the endpoint's name.")
    ] = None,
    out: Annotated[str | None, typer.Option("--out", metavar="DIR", help="Copy the results to this folder.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write into a folder that is there.")] = False,
    no_wait: options.NoWait = False,
    wait_timeout: options.WaitTimeout = None,
    dry_run: options.DryRun = False,
) -> BatchResult | Planned:
    """Score data on a batch endpoint. The run is a job: opsml jobs show RUN, opsml jobs download RUN.

    A run that was killed is continued by the same command, from its last finished mini-batch.

    Example: opsml batch run nightly customers.parquet --out predictions
    Example: opsml batch run nightly customers:4 --no-wait
    """
    from opsml_cli.domain.batch import InvokeBatch

    spec = InvokeBatch(endpoint, deployment, experiment=experiment, dry_run=dry_run)
    given = BatchInput(data, options.pairs(set_, "--set"))
    done = run_batch(
        session.workspace, spec, given, session.progress, out=out, force=force, wait=not no_wait, timeout=wait_timeout
    )
    if dry_run:
        planned = done.run
        details: dict[str, object] = {
            "deployment": planned.deployment,
            "inputs": dict(planned.inputs),
            "experiment": planned.experiment,
        }
        return Planned("run", f"batch endpoint {planned.endpoint}", details)
    return done


def list_(session: Session) -> Sequence[BatchEndpoint]:
    """List batch endpoints, newest first.

    Example: opsml batch list
    """
    return session.workspace.batch_endpoints.list()


def show(session: Session, endpoint: options.EndpointName) -> BatchEndpoint:
    """Show a batch endpoint: its deployments, their models and settings.

    Example: opsml batch show nightly
    """
    return session.workspace.batch_endpoints.get(endpoint)


def delete(
    session: Session,
    endpoint: options.EndpointName,
    deployment: options.Deployment = None,
    yes: options.Yes = False,
    dry_run: options.DryRun = False,
) -> BatchDeleted | Planned:
    """Delete a batch endpoint, or one deployment. Its runs and their files stay.

    Example: opsml batch delete nightly --deployment main --yes
    """
    from opsml_cli.services.batch import deployment_of

    operations = session.workspace.batch_endpoints
    found = operations.get(endpoint)
    named = None if deployment is None else deployment_of(found, deployment).name
    what = found.name if named is None else f"{found.name}/{named}"
    if dry_run:
        return Planned("delete", f"batch endpoint {what}", {"deployments": [each.name for each in found.deployments]})
    session.confirm(f"Delete batch endpoint {what}?", yes=yes)
    operations.delete(found.name, named)
    return BatchDeleted(found.name, named)
