"""Comparing two registered models: reading the rows, and saying who has learned from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.domain.comparison import CompareModels, Comparison
from opsml_cli.domain.data import DataAsset
from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.model import Model
from opsml_cli.local.own_models import loaded, reading_types
from opsml_cli.local.row_source import read_source

if TYPE_CHECKING:
    from opsml_cli.local.data import LocalData
    from opsml_cli.local.models import LocalModels


def compare(models: LocalModels, data: LocalData, spec: CompareModels) -> Comparison:
    """As the port says."""
    from opsml_cli.local.automl import comparing

    both = [models.verified(ref) for ref in (spec.a, spec.b)]
    scorers = [loaded(model, "its probabilities cannot be compared") for model in both]
    types = [reading_types(scorer) for scorer in scorers]
    frame, asset = read_source(data, spec.data, types[0])
    other = frame if types[1] == types[0] else read_source(data, spec.data, types[1])[0]
    target = spec.target_column or scorers[0].target
    found = comparing.compare(scorers[0], scorers[1], (frame, other), target=target, metric=spec.metric, seed=spec.seed)
    a, b = (_shown(model) for model in both)
    return Comparison(
        a=a,
        b=b,
        metric=found.metric,
        rows=found.rows,
        distinct_rows=found.distinct,
        difference=found.difference,
        interval=found.interval,
        verdict=found.verdict,
        metrics={"a": found.a, "b": found.b},
        trained_on=tuple(_shown(model) for model in both if _learned_from(model, asset, data)),
    )


def _shown(model: Model) -> str:
    return f"{model.name}:{model.version}"


def _learned_from(model: Model, asset: DataAsset, data: LocalData) -> bool:
    if model.data is None:
        return False
    try:
        return data.get(model.data).sha256 == asset.sha256
    except NotFoundError:
        return False
