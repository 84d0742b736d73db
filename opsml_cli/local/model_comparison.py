"""Comparing two registered models: reading the rows, and saying who has learned from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.domain.comparison import CompareModels, Comparison
from opsml_cli.domain.data import DataAsset, RegisterData
from opsml_cli.domain.errors import InvalidInputError, NotFoundError, UnsupportedError
from opsml_cli.domain.job import TableSource
from opsml_cli.domain.model import Model
from opsml_cli.domain.names import AssetRef
from opsml_cli.domain.progress import Silent

if TYPE_CHECKING:
    import pandas as pd

    from opsml_cli.local.data import LocalData
    from opsml_cli.local.models import LocalModels


def compare(models: LocalModels, data: LocalData, spec: CompareModels) -> Comparison:
    """As the port says."""
    from opsml_cli.local.automl import comparing, scoring
    from opsml_cli.local.serving import scorers

    both = [models.verified(ref) for ref in (spec.a, spec.b)]
    for model in both:
        if not model.own:
            raise UnsupportedError(
                f"{_shown(model)} was not trained by opsml: its probabilities cannot be compared",
                fix="opsml score --model scores rows with it",
            )
    frame, asset = _rows(data, spec.data)
    loaded = []
    for model in both:
        folder = Path(model.path)
        loaded.append(scoring.load(str(scorers.own_data(folder, scorers.read_description(folder)))))
    found = comparing.compare(
        loaded[0], loaded[1], frame, target=spec.target_column or loaded[0].target, metric=spec.metric, seed=spec.seed
    )
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


def _rows(data: LocalData, source: TableSource) -> tuple[pd.DataFrame, DataAsset]:
    from opsml_cli.tables import read_frame

    if source.asset is not None:
        asset = data.get(source.asset)
        return data.frame(AssetRef(asset.name, asset.version)), asset
    path = Path(source.path or "").expanduser()
    if not path.exists():
        raise NotFoundError(f"no file or folder {source.path}", fix="check the path; opsml data list shows assets")
    # Reads and hashes the table as registering it would; nothing is written.
    asset = data.register(RegisterData("compared", str(path), dry_run=True), Silent()).asset
    if asset.profile is None:
        raise InvalidInputError(f"{source.path} is no table", fix="give a CSV, Parquet or JSON lines file")
    return read_frame(path, asset.profile, name=str(source.path)), asset


def _learned_from(model: Model, asset: DataAsset, data: LocalData) -> bool:
    if model.data is None:
        return False
    try:
        return data.get(model.data).sha256 == asset.sha256
    except NotFoundError:
        return False
