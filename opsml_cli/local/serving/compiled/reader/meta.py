"""Models made of other models."""

from __future__ import annotations

from .flow import PredictorReader

PREDICTORS: dict[str, PredictorReader] = {}
