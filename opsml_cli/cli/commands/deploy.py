"""`opsml deploy`"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Planned, Verdict
from opsml_cli.cli.session import Session
from opsml_cli.domain.endpoint import Deployed, OnlineEndpoint
from opsml_cli.domain.errors import NotFoundError, UsageError
from opsml_cli.services.deploy import DeployRequest
from opsml_cli.services.deploy import deploy as deploy_model

if TYPE_CHECKING:
    from opsml_cli.domain.deployment import CodeSource, EndpointSpec, EnvironmentSource
    from opsml_cli.domain.deployment_yaml import DeploymentFile
    from opsml_cli.domain.endpoint import RawRequest, Row

_EXAMPLE_ROWS = 100


def deploy(
    session: Session,
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="NAME[:VERSION], a folder in MLflow format, or a model file.")
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="Azure's YAML of a managed online endpoint or deployment; repeatable."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change a value of the file; repeatable."),
    ] = None,
    code: Annotated[
        str | None, typer.Option("--code", metavar="DIR", help="The folder with the scoring script and what it imports.")
    ] = None,
    scoring_script: Annotated[
        str | None, typer.Option("--scoring-script", metavar="FILE", help="The script's path in --code. [default: score.py]")
    ] = None,
    model_option: Annotated[
        str | None,
        typer.Option("--model", metavar="PATH|NAME[:V]", help="The model, as MODEL; with --code any file or folder."),
    ] = None,
    environment: Annotated[
        str | None,
        typer.Option(
            "--environment",
            metavar="FILE|NAME|current|isolated",
            help="Where packages come from: a conda or requirements file, a registered environment, opsml's own Python, or a "
            "virtual environment of the model's own.",
        ),
    ] = None,
    env_var: Annotated[
        list[str] | None,
        typer.Option(
            "--env-var",
            metavar="NAME[=VALUE]",
            help="An environment variable of the script; without a value it is taken from opsml's own environment. Repeatable.",
        ),
    ] = None,
    input_example: Annotated[
        str | None,
        typer.Option("--input-example", metavar="FILE|NAME[:V]", help="Rows that a model file takes, where it does not say."),
    ] = None,
    sample_request: Annotated[
        str | None,
        typer.Option("--sample-request", metavar="FILE", help="A request that must be answered with 200 before traffic comes."),
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
    instance_count: Annotated[
        int | None, typer.Option("--instance-count", help="How many processes or machines answer. [default: 1]")
    ] = None,
    insights: Annotated[
        bool | None, typer.Option("--insights/--no-insights", help="Record requests; as it is unless given.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="The model or script is not opsml's own; its code may run here.")
    ] = False,
    no_wait: options.NoWait = False,
    wait_timeout: options.WaitTimeout = None,
    dry_run: options.DryRun = False,
) -> Deployed | OnlineEndpoint | Planned | Verdict:
    """Serve a model or a scoring script over HTTP behind an endpoint; ends when a real request was answered.

    Without MODEL it is the best model of the newest finished training. With --code it is a scoring script with init() and
    run(), as Azure runs it, and --model is what it reads. With -f it is what `az ml online-deployment create -f` takes; other
    options go before what the file says.

    With --canary it is deployed beside what serves, under another name, and gets all of the traffic only when its own requests
    held what --slo says ('errors<1%' unless given) for as long as --bake. Otherwise the traffic goes back: exit code 10.
    --canary turns the recording of requests on and leaves it on; `opsml insights disable` turns it off.

    Example: opsml deploy bank:3 --endpoint bank --deployment green --traffic 10
    Example: opsml deploy bank:3 --endpoint bank --canary 10 --bake 5m --slo 'p95<50ms,errors<1%'
    Example: opsml deploy --code src --scoring-script score.py --model model.pkl --endpoint iris --trust
    Example: opsml deploy -f endpoint.yml -f deployment.yml --set instance_count=2 --trust
    """
    if model is not None and model_option is not None:
        raise UsageError("MODEL and --model are two ways to say the same", fix="give one of them")
    request = DeployRequest(
        model=model or model_option,
        job=job,
        endpoint=endpoint,
        deployment=deployment,
        traffic=traffic,
        instance_type=instance_type,
        instance_count=instance_count or 1,
        insights=insights,
        trust=trust,
        dry_run=dry_run,
        code=_code(code, scoring_script),
        environment=_environment(environment),
        variables=_variables(session, env_var or ()),
        sample=_sample(sample_request),
        example=_example(session, input_example),
    )
    configured: EndpointSpec | None = None
    if file:
        from opsml_cli.cli import deployment_files

        configured, described = deployment_files.read(file, set_ or ())
        if described is None:
            assert configured is not None
            return _endpoint_alone(session, configured, dry_run=dry_run)
        request = _merged(request, described, configured, counted=instance_count is not None)
    elif set_:
        raise UsageError("--set changes what a file says", fix="add -f FILE")
    if configured is not None and configured.traffic and canary is not None:
        raise UsageError(
            "--canary says how the traffic moves, and so does the endpoint's file", fix="leave it out there: --set traffic=null"
        )
    if configured is not None and not dry_run:
        from opsml_cli.services.deploy_files import prepare

        request = prepare(session.workspace, configured, request, session.progress, timeout=wait_timeout)
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
    if configured is not None and not no_wait and not dry_run:
        from opsml_cli.services.deploy_files import give_traffic

        done = give_traffic(session.workspace, configured, done)
    if not dry_run:
        return (done if no_wait else _with_trial(session, done, input_example)) if error is None else Verdict(done, error)
    return _plan(done, configured)


def _with_trial(session: Session, done: Deployed, example: str | None) -> Deployed:
    from opsml_cli.services.trial import trial_of

    rows = example if example is not None and Path(example).expanduser().exists() else None
    return replace(done, trial=trial_of(session.workspace, done, rows))


def _plan(done: Deployed, configured: EndpointSpec | None) -> Planned:
    pointer = done.deployment.model
    return Planned(
        "leave unchanged" if done.unchanged else "deploy",
        f"{done.endpoint.name}/{done.deployment.name}",
        {
            "model": f"{pointer.name}:{pointer.version}" if pointer.name else None,
            "script": done.deployment.script,
            "traffic": dict(done.endpoint.traffic if configured is None else configured.traffic or done.endpoint.traffic),
            "insights": done.endpoint.insights,
            "unchanged": done.unchanged,
        },
    )


def _endpoint_alone(session: Session, spec: EndpointSpec, *, dry_run: bool) -> OnlineEndpoint | Planned:
    from opsml_cli.services.deploy_files import configure

    done = configure(session.workspace, spec, session.progress, dry_run=dry_run, traffic=True)
    if not dry_run:
        return done.endpoint
    action = "leave unchanged" if done.unchanged else "set up"
    return Planned(
        action, spec.name, {"auth_mode": spec.auth_mode, "traffic": dict(spec.traffic or {}), "unchanged": done.unchanged}
    )


def _merged(request: DeployRequest, file: DeploymentFile, endpoint: EndpointSpec | None, *, counted: bool) -> DeployRequest:
    """What the options say, and for the rest what the file says."""
    named = endpoint.name if endpoint is not None else file.endpoint
    if request.endpoint is None and named is None:
        raise UsageError("the file names no endpoint", fix="add endpoint_name to it, or give --endpoint")
    traffic = request.traffic
    return replace(
        request,
        model=request.model if request.model is not None or request.job is not None else file.model,
        endpoint=request.endpoint or named,
        deployment=request.deployment or file.name,
        traffic=traffic,
        instance_type=request.instance_type or file.instance_type,
        instance_count=request.instance_count if counted else file.instance_count or 1,
        insights=request.insights if request.insights is not None else file.insights,
        code=request.code or file.code,
        environment=request.environment or file.environment,
        variables={**file.variables, **request.variables},
        settings=file.settings,
    )


def _code(folder: str | None, script: str | None) -> CodeSource | None:
    from opsml_cli.domain.deployment import CodeSource

    if folder is None:
        if script is not None:
            raise UsageError("--scoring-script is a path in the code folder", fix="add --code DIR")
        return None
    entry = (script or "score.py").removeprefix("./")
    if Path(entry).is_absolute() or ".." in Path(entry).parts:
        raise UsageError(f"--scoring-script {script!r} is outside the code folder", fix="give its path in --code")
    return CodeSource(str(Path(folder).expanduser().absolute()), entry)


def _environment(text: str | None) -> EnvironmentSource | None:
    """A word, a file, or the name of a registered environment."""
    from opsml_cli.domain.deployment import EnvironmentKind, EnvironmentSource

    if text is None:
        return None
    if text in (EnvironmentKind.CURRENT, EnvironmentKind.ISOLATED):
        return EnvironmentSource(EnvironmentKind(text))
    path = Path(text).expanduser()
    if path.is_file():
        return EnvironmentSource(EnvironmentKind.FILE, file=str(path.absolute()))
    if path.suffix in (".yml", ".yaml", ".txt") or text.startswith((".", "~", "/")):
        raise NotFoundError(f"no file {text}", fix="check the path given to --environment")
    return EnvironmentSource(EnvironmentKind.NAMED, reference=text)


def _variables(session: Session, texts: Sequence[str]) -> Mapping[str, str]:
    """`NAME=VALUE`, or `NAME` alone for the value that opsml itself was started with: so a secret is never a flag's value."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f"--env-var {text!r} is not of the form NAME=VALUE or NAME")
        if not equals:
            if name not in session.environment:
                raise UsageError(
                    f"--env-var {name} has no value: {name} is not set", fix=f"export {name}, or give {name}=VALUE"
                )
            value = session.environment[name]
            session.output.masking.add_all([value])
        if name in found:
            raise UsageError(f"--env-var {name} is given twice")
        found[name] = value
    return found


def _example(session: Session, text: str | None) -> Sequence[Row]:
    """The first rows of a file, or of registered data."""
    if text is None:
        return ()
    if Path(text).expanduser().exists() or "/" in text or "." in text:
        from opsml_cli.tables import read_rows

        return list(read_rows(text))[:_EXAMPLE_ROWS]
    from opsml_cli.domain.names import parse_ref

    return session.workspace.data.sample(parse_ref(text, "data name"), _EXAMPLE_ROWS)


def _sample(path: str | None) -> RawRequest | None:
    from opsml_cli.domain.endpoint import RawRequest

    if path is None:
        return None
    try:
        return RawRequest(Path(path).expanduser().read_bytes())
    except OSError as error:
        raise NotFoundError(f"the sample request {path} cannot be read: {error.strerror}") from error
