"""What `batch deploy` was asked, by options and by Azure's YAML, as one request: options win over the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from opsml_cli.domain.batch import BatchSettings, DeployBatch, OutputAction, ScriptCode
from opsml_cli.domain.batch_yaml import BatchReading, read_batch
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.names import AssetRef, parse_ref

DEPLOYMENT = "main"


@dataclass(frozen=True, slots=True)
class DeployWords:
    """The options of `batch deploy`; None: not given. `settings` by Azure's names, `max_retries` and `timeout` among them."""

    endpoint: str | None = None
    deployment: str | None = None
    code: str | None = None
    scoring_script: str | None = None
    component: str | None = None
    environment: str | None = None
    compute: str | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    default: bool | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    trust: bool = False
    dry_run: bool = False


def read(file: str, sets: Mapping[str, str]) -> BatchReading:
    """The YAML with the values of `sets` (by dotted keys) in it."""
    from opsml_cli.documents import parse_document, read_document
    from opsml_cli.domain.overrides import apply

    document = read_document(Path(file).expanduser(), source=file)
    values = [(key, parse_document(text, source=f"--set {key}", folder=Path()).value) for key, text in sets.items()]
    return document.read(lambda value: read_batch(apply(value, values), document.folder))


def request(reading: BatchReading | None, words: DeployWords, model: str | None) -> tuple[DeployBatch, str | None]:
    """The request, and the model as NAME[:V] or a path where one is named. UsageError for what does not go together."""
    found = reading or BatchReading(None, None)
    code = _code(words, found)
    component = words.component or found.component
    model = model or found.model_path or found.model
    if component is not None and (model is not None or code is not None):
        raise UsageError("a deployment runs a pipeline component, or a model or script", fix="leave out the one or the other")
    endpoint = words.endpoint or found.endpoint
    if endpoint is None and (component is not None or code is not None):
        raise UsageError("--endpoint is missing", fix="give --endpoint NAME, or endpoint_name in the file")
    ref: AssetRef | None = None
    if model is not None and code is not None and found.model is not None and model == found.model:
        ref, model = parse_ref(model, "model name"), None
    spec = DeployBatch(
        endpoint=endpoint or "",
        deployment=words.deployment or found.deployment or DEPLOYMENT,
        model=ref,
        code=code,
        component=component,
        environment=words.environment or found.environment,
        compute=words.compute or found.compute,
        settings=_settings(words, found.settings),
        default=words.default,
        description=words.description or found.description,
        tags={**found.tags, **words.tags},
        trust=words.trust,
        dry_run=words.dry_run,
    )
    return spec, model


def _code(words: DeployWords, found: BatchReading) -> ScriptCode | None:
    if words.code is None and words.scoring_script is None:
        return found.code
    if words.scoring_script is None:
        if found.code is None:
            raise UsageError("--code needs the script in it", fix="add --scoring-script FILE")
        return ScriptCode(str(words.code), found.code.scoring_script)
    if words.code is None and found.code is None:
        script = Path(words.scoring_script)
        return ScriptCode(str(script.parent), script.name)
    return ScriptCode(words.code or found.code.code, words.scoring_script)  # type: ignore[union-attr]


def _settings(words: DeployWords, base: BatchSettings) -> BatchSettings:
    given = {name: value for name, value in words.settings.items() if value is not None}
    retries = base.retry_settings
    for name in ("max_retries", "timeout"):
        if name in given:
            retries = replace(retries, **{name: given.pop(name)})  # type: ignore[arg-type]
    if "output_action" in given:
        try:
            given["output_action"] = OutputAction(str(given["output_action"]).lower())
        except ValueError:
            raise UsageError(
                f"--output-action is {given['output_action']!r}", cause=f"expected {' or '.join(OutputAction)}"
            ) from None
    variables = {**base.environment_variables, **words.environment_variables}
    made = replace(base, **given, retry_settings=retries, environment_variables=variables)  # type: ignore[arg-type]
    made.check()
    return made
