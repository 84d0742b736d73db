"""Results as lines of the output file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from opsml_cli.local.batch.minibatch import MiniBatchError


def of_predictions(results: Sequence[Any], first: int, label: str) -> bytes:
    """CSV: the row's number in its file, the prediction, the file."""
    ending = f",{_cell(label)}\n"
    known: dict[Any, str] = {}
    lines = []
    for row, value in enumerate(results, first):
        if type(value) is str:
            text = known.get(value)
            if text is None:
                text = known[value] = _cell(value)
        else:
            text = _cell(value)
        lines.append(f"{row},{text}{ending}")
    return "".join(lines).encode()


def _cell(value: Any) -> str:
    if type(value) is float or type(value) is int:
        return repr(value)
    if isinstance(value, list | dict):
        value = json.dumps(value, default=str)
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow((value, ""))
    return text.getvalue()[:-1]


def of_script(made: Any) -> tuple[bytes, int]:
    """What a scoring script's `run` gave, a line an element, and how many: the values of a data frame's row are divided by
    spaces, without the names of the columns. MiniBatchError for anything but a list or a data frame."""
    if hasattr(made, "to_csv"):
        if not hasattr(made, "columns"):
            made = made.to_frame()
        return made.to_csv(sep=" ", header=False, index=False, lineterminator="\n").encode(), len(made)
    if isinstance(made, str | bytes) or not hasattr(made, "__iter__"):
        raise MiniBatchError(f"run gave {type(made).__name__}: expected a list or a data frame", final=False)
    lines = [f"{each}\n" for each in made]
    return "".join(lines).encode(), len(lines)
