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
    from . import compose, gradient_boosting, linear, meta, trees

    return {
        **compose.PREDICTORS,
        **linear.PREDICTORS,
        **trees.PREDICTORS,
        **gradient_boosting.PREDICTORS,
        **meta.PREDICTORS,
    }
