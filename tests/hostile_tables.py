"""Tables as nobody would wish them: what `test_hostile_tables.py` draws from, the same for the same draw."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from opsml_cli.domain.job import AutoMLSpec, Limits, TableSource, Task

Cells = list[object]
MOST_HUGE = 10**40

_WORDS = (
    "late",
    "early",
    "cat",
    "naïve",
    "日本",
    "🚀",
    "O'Brien",
    'say "hi"',
    "a,b",
    "line\nbreak",
    "tab\there",
    "NULL",
    "nan",
    "",
)


def _cycled(*values: object) -> Callable[[random.Random, int], Cells]:
    return lambda draw, rows: [draw.choice(values) for _ in range(rows)]


def _numbers(draw: random.Random, rows: int) -> Cells:
    return [None if draw.random() < 0.1 else round(draw.gauss(0, 1), 3) for _ in range(rows)]


def _dates(draw: random.Random, rows: int) -> Cells:
    zone = draw.choice(("", "Z", "+05:30"))
    return [f"20{draw.randrange(10, 40)}-0{draw.randrange(1, 10)}-1{draw.randrange(0, 10)}T0{draw.randrange(10)}:00:00{zone}"
            for _ in range(rows)]  # fmt: skip


def _sentences(draw: random.Random, rows: int) -> Cells:
    return [" ".join(draw.choice(_WORDS) for _ in range(draw.randrange(0, 40))) for _ in range(rows)]


# What one column may hold. Every maker takes a source of chance and the number of rows.
COLUMNS: dict[str, Callable[[random.Random, int], Cells]] = {
    "numbers": _numbers,
    "integers": lambda draw, rows: [draw.randrange(-5, 100) for _ in range(rows)],
    "huge integers": lambda draw, rows: [draw.randrange(-MOST_HUGE, MOST_HUGE) for _ in range(rows)],
    "wide range": _cycled(1e308, -1e308, 5e-324, 1e-300, 0.0, -0.0, 1.5),
    "infinities": _cycled(math.inf, -math.inf, 1.0, 2.5, None),
    "all infinite": _cycled(math.inf),
    "nothing": _cycled(None),
    "blanks": _cycled("", " ", "\t"),
    "constant": _cycled(7),
    "constant with holes": _cycled("x", None),
    "booleans": _cycled(True, False),
    "words for booleans": _cycled("Yes", "no", "TRUE", "f", None),
    "zero and one": _cycled(0, 1),
    "identifiers": lambda draw, rows: [f"id-{place:06}" for place in range(rows)],
    "zip codes": lambda draw, rows: [f"{draw.randrange(0, 99999):05}" for _ in range(rows)],
    "dates": _dates,
    "odd dates": _cycled("0001-01-01", "9999-12-31", "2026-02-30", "2026-11-24", None),
    "days": _cycled("2026-01-01", "2025-12-31", "1969-07-20"),
    "words": _cycled(*_WORDS),
    "many words": lambda draw, rows: [f"w{draw.randrange(max(1, rows))}" for _ in range(rows)],
    "sentences": _sentences,
    "long texts": lambda draw, rows: ["x" * draw.choice((1, 300, 40_000 if rows < 30 else 900)) for _ in range(rows)],
    "mixed": _cycled(1, "1", 1.0, True, "true", "a", None, "2026-01-01", math.inf, MOST_HUGE),
    "numbers as text": _cycled("1", " 2 ", "3.50", "-4e2", "+5"),
    "numbers and tokens": lambda draw, rows: ["n/a" if draw.random() < 0.02 else str(draw.randrange(50)) for _ in range(rows)],
    "thousands": _cycled("1,000", "2,500", "12,345.67"),
    "percents": _cycled("5%", "12 %", "100%"),
    "nested quotes": _cycled('""', '"a"', "'\"'", '{"k": ["v", null]}', "\\", "\\\"", "[1, 2]", "=1+1"),
    "control characters": _cycled("\x01", "a\x7f", "\u200b", "\ufeff", "\u202e", "a\u0301"),
}  # fmt: skip

TARGETS: dict[str, Callable[[random.Random, int], Cells]] = {
    "two classes": _cycled("yes", "no"),
    "zero and one": _cycled(0, 1),
    "booleans": _cycled(True, False),
    "three classes": _cycled("a", "b", "c"),
    "emoji": _cycled("👍", "👎", "é"),
    "one class": _cycled("yes"),
    "a rare class": lambda draw, rows: ["rare" if place == 3 else "usual" for place in range(rows)],
    "two rare ones of three": lambda draw, rows: ["usual", "rare", "odd", *["usual"] * rows][:rows],
    "many classes": lambda draw, rows: [f"c{draw.randrange(max(2, rows // 3))}" for _ in range(rows)],
    "identifiers": lambda draw, rows: [f"id{place}" for place in range(rows)],
    "numbers": lambda draw, rows: [draw.gauss(0, 10) for _ in range(rows)],
    "integers": lambda draw, rows: [draw.randrange(0, 500) for _ in range(rows)],
    "constant number": _cycled(3.5),
    "huge numbers": lambda draw, rows: [draw.randrange(-MOST_HUGE, MOST_HUGE) for _ in range(rows)],
    "tiny numbers": lambda draw, rows: [draw.random() * 1e-310 for _ in range(rows)],
    "skewed": lambda draw, rows: [math.exp(draw.gauss(0, 3)) for _ in range(rows)],
    "infinite ones": _cycled(math.inf, -math.inf, 1.0, 2.0, 3.25),
    "mostly missing": lambda draw, rows: [draw.choice(("yes", "no")) if draw.random() < 0.3 else None for _ in range(rows)],
    "missing numbers": lambda draw, rows: [None if draw.random() < 0.4 else draw.gauss(0, 1) for _ in range(rows)],
    "nothing": _cycled(None),
    "mixed": _cycled(1, "1", True, "a", None, 2.5),
    "words": _cycled(*_WORDS),
    "dates": _dates,
}

WEIGHTS: dict[str, Callable[[random.Random, int], Cells]] = {
    "even": _cycled(1, 2, 0.5),
    "some zero": _cycled(0, 1),
    "all zero": _cycled(0),
    "negative": _cycled(-1, 1, 2),
    "missing": _cycled(None, 1, 2),
    "all missing": _cycled(None),
    "words": _cycled("heavy", "light"),
    "infinite": _cycled(math.inf, 1),
    "tiny and huge": _cycled(1e-300, 1e300, 1),
}

NAMES = (
    "a", "A", " a", "a ", "名前", "🚀", "🚀🚀", "with space", "a,b", 'q"uote', "q'uote", "new\nline",
    "{json: [1]}", "[x]", "a:b",
    "", "0", "1.5", "nan", "None", "y.epoch", "when.year", "__class__", "predicted", "weight", "index",
    "level_0", "n" * 300, "e\u0301", "é",
    "..", "/etc", "%s", "$x", "a=b", "\u202eabc", "prediction_probability", "<b>", "&amp;", "-o", "--target",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hostile:
    """A table (`columns` by name; two names may be equal) and what is asked of it."""

    header: tuple[str, ...]
    columns: tuple[Cells, ...]
    spec: AutoMLSpec
    form: str  # csv, jsonl or parquet

    @property
    def rows(self) -> int:
        return len(self.columns[0])

    def records(self, count: int) -> list[dict[str, object]]:
        """The first rows as a caller would send them, in JSON's types."""
        found = []
        for place in range(min(count, self.rows)):
            row = {name: cells[place] for name, cells in zip(self.header, self.columns, strict=True)}
            found.append({name: None if isinstance(each, float) and math.isinf(each) else each for name, each in row.items()})
        return found

    def text(self) -> str:
        """The content as CSV or as JSON lines."""
        if self.form == "jsonl":
            lines = [json.dumps(row, ensure_ascii=False) for row in self.records(self.rows)]
            return "\n".join(lines) + "\n"
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.header)
        for row in zip(*self.columns, strict=True):
            writer.writerow(["" if cell is None else cell for cell in row])
        return out.getvalue()


_HOSTILE_VALUES: tuple[object, ...] = (
    None, "", "never seen", "🚀", 0, -1, 1e308, 10**30, True, False, "true", "NaN", "inf", "2026-01-01",
    "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00+14:00", [], {}, [1], {"a": 1}, "x" * 5000, "1_000", " 7 ", "\x00", 0.1,
    "1e999", "\ud800",
)  # fmt: skip


def hostile_row(names: list[str], draw: random.Random) -> dict[str, object]:
    """A row to be scored: any JSON value in any column; sometimes a column too many or too few."""
    row = {name: draw.choice(_HOSTILE_VALUES) for name in names}
    if names and draw.random() < 0.2:
        del row[draw.choice(names)]
    if draw.random() < 0.3:
        row["nobody asked for this"] = 1
    return row


TREES = ("LightGBM", "RandomForest", "ExtremeRandomTrees")
_SPECS: tuple[tuple[str, Callable[[AutoMLSpec, list[str]], AutoMLSpec]], ...] = (
    ("as usual", lambda spec, names: spec),
    ("as usual", lambda spec, names: spec),
    ("classification", lambda spec, names: replace(spec, task=Task.CLASSIFICATION)),
    ("regression", lambda spec, names: replace(spec, task=Task.REGRESSION)),
    ("two folds", lambda spec, names: replace(spec, cross_validations=2)),
    ("many folds", lambda spec, names: replace(spec, cross_validations=20)),
    ("a validation share", lambda spec, names: replace(spec, validation_size=0.3)),
    ("a tiny test share", lambda spec, names: replace(spec, test_size=0.01)),
    ("a large test share", lambda spec, names: replace(spec, test_size=0.95)),
    ("groups", lambda spec, names: replace(spec, group_column=names[0])),
    ("time", lambda spec, names: replace(spec, time_column=names[0])),
    ("a threshold", lambda spec, names: replace(spec, threshold_for="f1")),
    ("a dear threshold", lambda spec, names: replace(spec, threshold_for="cost:0,1")),
    ("a positive label", lambda spec, names: replace(spec, positive_label="yes")),
    ("the ensemble", lambda spec, names: replace(spec, serve="ensemble", limits=Limits(20, max_trials=3))),
    ("accuracy", lambda spec, names: replace(spec, metric="accuracy")),
    ("log loss", lambda spec, names: replace(spec, metric="log_loss")),
    ("spearman", lambda spec, names: replace(spec, metric="spearman_correlation")),
    ("a log error", lambda spec, names: replace(spec, metric="root_mean_squared_log_error")),
    ("no featurization", lambda spec, names: replace(spec, features={"featurization": {"mode": "off"}})),
    ("no trees", lambda spec, names: replace(spec, blocked_algorithms=TREES, limits=Limits(20, max_trials=4))),
    ("a forest", lambda spec, names: replace(spec, allowed_algorithms=("RandomForest",))),
    ("a network", lambda spec, names: replace(spec, allowed_algorithms=("NeuralNetwork",))),
    ("everything dropped", lambda spec, names: replace(spec, drop_columns=tuple(names))),
)  # fmt: skip

TARGET = "y"
# So that every other table or so can be learned, and what comes after that is met too.
_LEARNABLE = ("two classes", "zero and one", "three classes", "many classes", "numbers", "skewed", "missing numbers") * 4


@st.composite
def tables(draw: st.DrawFn, seconds: float = 20.0) -> Hostile:
    """Any of the columns, targets, weights, names and wishes of this module together, with 1 to 400 rows."""
    chance = random.Random(draw(st.integers(0, 2**32), label="chance"))
    rows = draw(st.sampled_from((120, 61, 400, 250, 90, 59, 30, 15, 11, 10, 9, 2, 1)), label="rows")
    kinds = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=6), label="columns")
    names = chance.sample(NAMES, len(kinds)) if draw(st.booleans()) else [f"x{place}" for place in range(len(kinds))]
    columns = [COLUMNS[kind](chance, rows) for kind in kinds]
    if chance.random() < 0.2:  # the first column once more, sometimes under its own name
        columns.append(list(columns[0]))
        names = [*names, names[0] if chance.random() < 0.2 else "twin"]
    spec = AutoMLSpec(TableSource(path="table"), TARGET, limits=Limits(seconds, max_trials=1), seed=chance.randrange(1000))
    wish = draw(st.sampled_from(range(len(_SPECS))), label="wish")
    spec = _SPECS[wish][1](spec, list(names))
    if chance.random() < 0.15:
        weight = draw(st.sampled_from(sorted(WEIGHTS)), label="weights")
        names, columns = [*names, "w8"], [*columns, WEIGHTS[weight](chance, rows)]
        spec = replace(spec, weight_column="w8")
    target = draw(st.sampled_from((*_LEARNABLE, *sorted(TARGETS))), label="target")
    form = draw(st.sampled_from(("csv", "csv", "jsonl")), label="form")
    return Hostile((*names, TARGET), (*columns, TARGETS[target](chance, rows)), spec, form)
