"""Partial dependence of the columns that move the served model's answers most, kept beside it for the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from opsml_cli.content import files
from opsml_cli.local.automl import model_folder, scoring
from opsml_cli.local.automl.explaining import BACKGROUND, POINTS, Explainer

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = 5
_MOST_ROWS = 2000
_FEWEST_BACKGROUND = 20
_MICROSECONDS = 1_000_000.0  # for all answers, one at a time; together they take half of it or less


def write(outputs: Path, frame: pd.DataFrame, seed: int, row_microseconds: float) -> None:
    """`outputs/dependence.json`, of the model at `outputs/model` and the order that `outputs/importance.json` tells. With two
    classes of the positive one's probability, with more of that of the class named there. Where a row takes long to answer,
    the means are of fewer rows."""
    model = scoring.load(str(outputs / "model" / model_folder.DATA))
    rows = frame if len(frame) <= _MOST_ROWS else frame.sample(_MOST_ROWS, random_state=seed)
    explainer = Explainer(model, rows.reset_index(drop=True), seed)
    label = model.positive_index if model.positive_index is not None else len(model.classes) - 1 if model.classes else 0
    ranked = json.loads((outputs / "importance.json").read_text(encoding="utf-8"))
    background = int(max(_FEWEST_BACKGROUND, min(BACKGROUND, _MICROSECONDS / (_COLUMNS * POINTS * row_microseconds))))
    found = []
    for each in ranked[:_COLUMNS]:
        values, answers = explainer.dependence(each["column"], label, background)
        if len(values) > 1:
            found.append({"column": each["column"], "values": values, "answers": answers})
    of = scoring.category_text(model.classes[label]) if model.classes else None
    content = json.dumps({"class": of, "columns": found}, ensure_ascii=False, default=str)
    files.write_atomic(outputs / "dependence.json", content.encode())
