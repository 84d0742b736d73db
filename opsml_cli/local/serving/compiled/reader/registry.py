"""Which types are read by what."""

from __future__ import annotations

from functools import cache

from .flow import PredictorReader, TransformerReader


@cache
def transformers() -> dict[str, TransformerReader]:
    from . import compose, encoders, preprocessing, projections

    return {**compose.TRANSFORMERS, **encoders.TRANSFORMERS, **preprocessing.TRANSFORMERS, **projections.TRANSFORMERS}


@cache
def predictors() -> dict[str, PredictorReader]:
    from . import catboost, compose, examples, isolation, lightgbm, linear, meta, networks, trees, xgboost

    return {
        **compose.PREDICTORS,
        **linear.PREDICTORS,
        **trees.PREDICTORS,
        **lightgbm.PREDICTORS,
        **xgboost.PREDICTORS,
        **catboost.PREDICTORS,
        **examples.PREDICTORS,
        **isolation.PREDICTORS,
        **networks.PREDICTORS,
        **meta.PREDICTORS,
    }
