"""Azure ML's AutoML job YAML (`type: automl`) as an AutoMLSpec: for `train automl -f` and for a pipeline's AutoML steps.

    document = documents.read_document(Path("job.yml"))
    reading = document.read(lambda value: read_automl(value, document.folder))

Every key of Azure's schema for tabular jobs is known. Keys that mean nothing on this machine are named in
`Reading.ignored`, so that nothing is dropped in silence; anything else is refused with 'did you mean'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.domain import featurization, names
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import FieldError, Fields, Where, did_you_mean
from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task

# Known to Azure's schema and without effect in a local training, whatever their value.
_WITHOUT_EFFECT = (
    "resources",
    "environment",
    "environment_variables",
    "identity",
    "services",
    "queue_settings",
    "log_verbosity",
)
# Switches under `training` that are on or off by default here as there; the other value is told to the reader.
_TRAINING_SWITCHES = {
    "enable_onnx_compatible_models": False,
    "enable_dnn_training": False,
    "enable_model_explainability": True,
    "enable_stack_ensemble": False,
    "enable_vote_ensemble": True,
}
_HEEDED_SWITCHES = ("enable_vote_ensemble",)  # the other value has its effect on this machine too
_ASSET_PREFIX = "azureml:"


@dataclass(frozen=True, slots=True)
class Reading:
    """The spec, and the dotted names of settings that have no effect in a local workspace."""

    spec: AutoMLSpec
    ignored: tuple[str, ...] = ()


def read_automl(
    value: object,
    folder: Path,
    where: Where = (),
    bound: Mapping[str, TableSource] | None = None,
    *,
    remote: bool = False,
) -> Reading:
    """Read the mapping `value`. Relative paths start from `folder`. `where` is the mapping's place in a larger document.
    `bound` holds tables by the exact text that names them (a pipeline's `${{…}}` bindings, already resolved). With `remote`
    the workspace reads addresses (`azureml://…`, URLs); otherwise they are refused.

    Raises FieldError naming the field."""
    return _Reader(folder, bound or {}, remote).read(Fields(value, where))


class _Reader:
    def __init__(self, folder: Path, bound: Mapping[str, TableSource], remote: bool) -> None:
        self.folder = folder
        self.remote = remote
        self.bound = bound
        self.ignored: list[str] = []
        self.features: dict[str, object] = {}

    def read(self, job: Fields) -> Reading:
        job.raw("$schema")
        if job.text("type") not in (None, "automl"):
            raise job.problem("type", "automl")
        data = self._table(job, "training_data")
        target = job.text("target_column_name")
        if data is None or target is None:
            missing = "training_data" if data is None else "target_column_name"
            raise FieldError((*job.where, missing), f"{missing} is missing")
        allowed, blocked = self._training(job)
        size, cross = self._validation(job)
        spec = AutoMLSpec(
            data=data,
            target_column=target,
            task=self._task(job),
            metric=job.text("primary_metric"),
            limits=self._limits(job),
            cross_validations=cross,
            validation_data=self._table(job, "validation_data"),
            validation_size=size,
            test_data=self._table(job, "test_data"),
            test_size=self._share(job, "test_data_size"),
            allowed_algorithms=allowed,
            blocked_algorithms=blocked,
            weight_column=job.text("weight_column_name"),
            positive_label=job.text("positive_label"),
            drop_columns=self._featurization(job),
            features=self.features,
            experiment=self._name(job, "experiment_name") or "Default",
            name=self._name(job, "name"),
            compute=self._compute(job),
            seed=job.integer("seed") or 0,
            description=job.text("description"),
            tags=job.texts("tags"),
        )
        self._without_effect(job)
        job.done()
        return Reading(spec, tuple(self.ignored))

    def _task(self, job: Fields) -> Task | None:
        text = job.text("task")
        if text is None:
            return None
        try:
            return Task(text)
        except ValueError:
            cause = did_you_mean(text, [task.value for task in Task]) or "expected classification or regression"
            raise FieldError((*job.where, "task"), f"the task {text!r} is not supported: tables only", cause) from None

    def _limits(self, job: Fields) -> Limits:
        limits = job.section("limits")
        if limits is None:
            return Limits()
        default = Limits()
        timeout = self._minutes(limits, "timeout_minutes")
        read = Limits(
            timeout_seconds=default.timeout_seconds if timeout is None else timeout,
            max_trials=limits.integer("max_trials", least=1),
            trial_timeout_seconds=self._minutes(limits, "trial_timeout_minutes"),
            max_concurrent_trials=limits.integer("max_concurrent_trials", least=1) or 1,
            exit_score=limits.number("exit_score"),
            enable_early_termination=limits.flag("enable_early_termination") is not False,
        )
        for key in ("max_nodes", "max_cores_per_trial"):
            if limits.raw(key) is not None:
                self.ignored.append(f"limits.{key}")
                self._keep("limits", key, limits.raw(key))
        limits.done()
        return read

    @staticmethod
    def _minutes(section: Fields, key: str) -> float | None:
        minutes = section.number(key)
        if minutes is not None and not 0 < minutes <= 366 * 24 * 60:
            raise section.problem(key, "minutes, more than zero")
        return None if minutes is None else minutes * 60.0

    def _validation(self, job: Fields) -> tuple[float | None, int | None]:
        size, folds = self._share(job, "validation_data_size"), job.raw("n_cross_validations")
        if folds == "auto":
            return size, None
        cross = job.integer("n_cross_validations", least=2)
        given = [key for key in ("n_cross_validations", "validation_data", "validation_data_size") if key in job]
        if len(given) > 1:
            raise FieldError((*job.where, given[1]), f"{given[0]} and {given[1]} exclude each other", "keep one of them")
        return size, cross

    @staticmethod
    def _share(section: Fields, key: str) -> float | None:
        share = section.number(key)
        if share is not None and not 0 < share < 1:
            raise section.problem(key, "a share of the rows between 0 and 1")
        return share

    def _table(self, job: Fields, key: str) -> TableSource | None:
        value = job.raw(key)
        if value is None:
            return None
        if isinstance(value, str):
            return self._source(value, (*job.where, key))
        section = Fields(value, (*job.where, key))
        kind, path = section.text("type"), section.text("path")
        section.text("mode")
        section.done()
        if kind not in (None, "mltable", "uri_file", "uri_folder"):
            raise section.problem("type", "mltable, uri_file or uri_folder")
        if path is None:
            raise FieldError(section.where, f"{key}.path is missing")
        return self._source(path, (*section.where, "path"))

    def _source(self, text: str, where: Where) -> TableSource:
        if text in self.bound:
            return self.bound[text]
        if "://" in text and not text.startswith("file://"):
            return self._address(text, where)
        if text.startswith(_ASSET_PREFIX):
            try:
                return TableSource(asset=names.parse_ref(text))
            except UsageError as error:
                raise FieldError(where, error.message, error.cause) from error
        return TableSource(path=str(self.folder / text.removeprefix("file://")))

    def _address(self, text: str, where: Where) -> TableSource:
        if self.remote:
            return TableSource(path=text)
        if text.startswith("azureml://"):
            raise FieldError(where, f"{text!r} lies on Azure", "register it here first: opsml data register NAME FILE")
        raise FieldError(where, f"{text!r} is a URL", "register it first: opsml data register NAME URL")

    def _keep(self, section: str, key: str, value: object) -> None:
        """Keep a setting that has no field of its own, for workspaces where it has an effect."""
        kept = self.features.setdefault(section, {})
        assert isinstance(kept, dict)
        kept[key] = value

    def _training(self, job: Fields) -> tuple[tuple[str, ...], tuple[str, ...]]:
        training = job.section("training")
        if training is None:
            return (), ()
        allowed, blocked = training.words("allowed_training_algorithms"), training.words("blocked_training_algorithms")
        for switch, usual in _TRAINING_SWITCHES.items():
            value = training.flag(switch)
            if value is not None and value is not usual:
                if switch not in _HEEDED_SWITCHES:
                    self.ignored.append(f"training.{switch}")
                self._keep("training", switch, value)
        for key in ("ensemble_model_download_timeout", "ensemble_model_download_timeout_minutes", "stack_ensemble_settings",
                    "training_mode"):  # fmt: skip
            if training.raw(key) is not None:
                self.ignored.append(f"training.{key}")
                self._keep("training", key, training.raw(key))
        training.done()
        return allowed, blocked

    def _featurization(self, job: Fields) -> tuple[str, ...]:
        section = job.section("featurization")
        if section is None:
            return ()
        keys = section.keys()
        said = {key: section.raw(key) for key in keys}
        read = featurization.read(said)
        self.ignored += read.ignored
        for key, value in said.items():
            if key != "drop_columns" and value is not None:
                self._keep("featurization", key, value)
        return section.words("drop_columns")

    @staticmethod
    def _name(job: Fields, key: str) -> str | None:
        text = job.text(key)
        if text is None:
            return None
        try:
            return names.asset_name(text, key)
        except UsageError as error:
            raise FieldError((*job.where, key), error.message, error.cause) from error

    @staticmethod
    def _compute(job: Fields) -> str | None:
        text = job.text("compute")
        return None if text is None else text.removeprefix(_ASSET_PREFIX)

    def _without_effect(self, job: Fields) -> None:
        if job.raw("display_name") is not None:
            self.features["display_name"] = job.raw("display_name")
        job.raw("outputs")  # the outputs' names; where they lie is the workspace's own business
        for key in _WITHOUT_EFFECT:
            if job.raw(key) is not None:
                self.ignored.append(key)
                self.features[key] = job.raw(key)
