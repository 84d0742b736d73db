"""The portable scorer of a tabular model: numpy and LightGBM's library only, nothing else of this project.

A copy of this package travels in every trained model as its MLflow loader module, so the model loads wherever numpy and
LightGBM are installed; it imports its parts by relative names for that reason. A row goes from a mapping straight into
numbers and through LightGBM's single-row C call; pandas is touched only when a frame is given.

    model = load("…/data")
    model.probabilities(model.encode([{"age": 41, "job": "technician"}]))
"""

from .boosters import Booster
from .encoder import Encoder, numbers_of, places_of
from .kernel import Kernel
from .members import Linear, Member, Network, dense, linked, softmax
from .model import FORMAT, TabularModel, _load_pyfunc, load
from .standard import places, standardized
from .values import (
    DATE_PARTS,
    MISSING,
    ColumnError,
    UnfitError,
    boolean_of,
    category_text,
    date_parts,
    is_missing,
    moment_of,
    number_of,
)

__all__ = [
    "DATE_PARTS",
    "FORMAT",
    "MISSING",
    "Booster",
    "ColumnError",
    "Encoder",
    "Kernel",
    "Linear",
    "Member",
    "Network",
    "TabularModel",
    "UnfitError",
    "_load_pyfunc",
    "boolean_of",
    "category_text",
    "date_parts",
    "dense",
    "is_missing",
    "linked",
    "load",
    "moment_of",
    "number_of",
    "numbers_of",
    "places",
    "places_of",
    "softmax",
    "standardized",
]
