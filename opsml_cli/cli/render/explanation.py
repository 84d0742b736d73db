"""How the explanation of a model is shown."""

from __future__ import annotations

from opsml_cli.cli import formats
from opsml_cli.cli import text as texts
from opsml_cli.cli.render.base import Rendering
from opsml_cli.domain.explanation import Explanation, RowExplanation
from opsml_cli.domain.report import Dependence

_BAR = 30
_SHOWN = 15
_SHOWN_ROWS = 10


def document(found: Explanation) -> dict[str, object]:
    return {
        "model": found.model,
        "task": found.task,
        "class": found.label,
        "data_rows": found.data_rows,
        "importance": found.importance,
        "dependence": found.dependence,
        "rows": [
            {
                "prediction": row.prediction,
                "class": row.label,
                "base": row.base,
                "answer": row.answer,
                "contributions": row.contributions,
            }
            for row in found.rows
        ],
    }


def _view(found: Explanation, width: int) -> str:
    what = f"the probability of {found.label!r}" if found.label is not None else "the answers"
    parts = [f"{found.model}: what moves {what}, over {found.data_rows} rows of data"]
    largest = max((each.share for each in found.importance), default=0.0) or 1.0
    rows = [
        [texts.escape_line(each.column), f"{each.share:6.1%}", "#" * round(_BAR * each.share / largest)]
        for each in found.importance[:_SHOWN]
    ]
    parts.append(formats.to_table(["column", "share", ""], rows, width).rstrip("\n"))
    if len(found.importance) > _SHOWN:
        parts.append(f"and {len(found.importance) - _SHOWN} columns more")
    parts += [dependence(each, width) for each in found.dependence if each.values]
    parts += [_row(index, row, width) for index, row in enumerate(found.rows[:_SHOWN_ROWS], 1)]
    if len(found.rows) > _SHOWN_ROWS:
        parts.append(f"and {len(found.rows) - _SHOWN_ROWS} rows more: -o json has them all")
    return "\n\n".join(parts)


def dependence(found: Dependence, width: int) -> str:
    """A table of the column's values with their mean answers."""
    low, high = min(found.answers), max(found.answers)
    rows = []
    for value, answer in zip(found.values, found.answers, strict=True):
        size = 0 if high == low else round(_BAR * (answer - low) / (high - low))
        rows.append([texts.escape_line(_short(value)), f"{answer:.4g}", "#" * size])
    return formats.to_table([texts.escape_line(found.column), "mean answer", ""], rows, width).rstrip("\n")


def _row(number: int, row: RowExplanation, width: int) -> str:
    of = "" if row.label is None else f" (probability of {row.label!r})"
    rows = [
        [texts.escape_line(each.column), texts.escape_line(_short(each.value)), f"{each.contribution:+.4g}"]
        for each in row.contributions[:_SHOWN]
    ]
    head = f"row {number}: {_short(row.prediction)}; {row.answer:.4g}{of}, from {row.base:.4g} on average"
    return texts.escape_line(head) + "\n" + formats.to_table(["column", "value", "adds"], rows, width).rstrip("\n")


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "missing" if value is None else str(value)


RENDERINGS: dict[type, Rendering] = {
    Explanation: Rendering(document=document, view=_view, columns=("model", "task", "class", "data_rows", "importance"))
}
