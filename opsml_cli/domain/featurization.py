"""What a training was told of its columns: Azure AutoML's `featurization` section, as far as it has an effect here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opsml_cli.domain.fields import FieldError, Fields, Where, did_you_mean, dotted

MODES = ("auto", "custom", "off")
TARGET_ENCODERS = ("CatTargetEncoder", "TextTargetEncoder")  # Azure's transformers that have an equal here, and can be blocked
STRATEGIES = ("mean", "median", "most_frequent", "constant")
# Azure's purposes of a column, and what each means for this machine.
_PURPOSES = {
    "numeric": "number",
    "categorical": "category",
    "categoricalhash": "category",
    "datetime": "datetime",
    "text": "text",
    "ignore": "ignore",
    "hashes": "ignore",
    "allnan": "ignore",
}


@dataclass(frozen=True, slots=True)
class Imputer:
    """How missing values of a column are filled; `value` only with the strategy `constant`."""

    strategy: str
    value: str | int | float | None = None


@dataclass(frozen=True, slots=True)
class Featurization:
    """`kinds` by column: number | category | datetime | text | ignore. `imputers` by column. `blocked`: of TARGET_ENCODERS.
    `ignored` are dotted names of settings without effect."""

    mode: str = "auto"
    kinds: Mapping[str, str] = field(default_factory=dict)
    imputers: Mapping[str, Imputer] = field(default_factory=dict)
    blocked: frozenset[str] = frozenset()
    ignored: tuple[str, ...] = ()


def read(section: object) -> Featurization:
    """The section of a spec's `features`, as the YAML has it; None is the default. Raises FieldError naming the field."""
    if section is None:
        return Featurization()
    fields = Fields(section, ("featurization",))
    mode = (fields.text("mode") or "auto").casefold()
    if mode not in MODES:
        raise fields.problem("mode", f"one of {', '.join(MODES)}")
    kinds = {column: _kind(column, word) for column, word in fields.texts("column_name_and_types").items()}
    imputers, ignored = _imputers(fields.section("transformer_params"))
    words = {word.casefold() for word in fields.words("blocked_transformers")}
    blocked = frozenset(name for name in TARGET_ENCODERS if name.casefold() in words)
    without = {
        "dataset_language": fields.raw("dataset_language"),
        "blocked_transformers": len(words) > len(blocked),
        "enable_dnn_featurization": fields.raw("enable_dnn_featurization"),
    }
    ignored += [f"featurization.{key}" for key, given in without.items() if given]
    fields.words("drop_columns")
    fields.done()
    return Featurization(mode, kinds, imputers, blocked, tuple(ignored))


def _kind(column: str, word: str) -> str:
    found = _PURPOSES.get(word.replace("_", "").casefold())
    if found is None:
        where: Where = ("featurization", "column_name_and_types", column)
        known = ("Numeric", "Categorical", "CategoricalHash", "DateTime", "Text", "Ignore")
        raise FieldError(
            where,
            f"{dotted(where)}: {word!r} is no type of a column",
            did_you_mean(word, known) or f"expected {', '.join(known)}",
        )
    return found


def _imputers(params: Fields | None) -> tuple[dict[str, Imputer], list[str]]:
    found: dict[str, Imputer] = {}
    ignored: list[str] = []
    for name in () if params is None else params.keys():
        assert params is not None
        listed = params.raw(name)
        if name.casefold() != "imputer":
            ignored.append(f"featurization.transformer_params.{name}")
            continue
        if not isinstance(listed, list):
            raise params.problem(name, "a list of fields and parameters")
        for index, each in enumerate(listed):
            item = Fields(each, (*params.where, name, index))
            columns, parameters = item.words("fields"), item.section("parameters")
            item.done()
            strategy = None if parameters is None else parameters.text("strategy")
            if parameters is None or strategy not in STRATEGIES:
                raise FieldError(
                    (*item.where, "parameters", "strategy"), "no such strategy", f"expected {', '.join(STRATEGIES)}"
                )
            value = parameters.raw("fill_value")
            parameters.done()
            if (strategy == "constant") != isinstance(value, str | int | float):
                where = (*item.where, "parameters", "fill_value")
                raise FieldError(where, f"{dotted(where)} goes with the strategy constant, and only with it")
            found.update(dict.fromkeys(columns, Imputer(strategy, value if isinstance(value, str | int | float) else None)))
    return found, ignored
