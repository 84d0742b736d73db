"""What is known of the columns between the steps of a fitted pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..artifact import Writer

Document = dict[str, Any]


class UnknownError(Exception):
    """The model holds something that is not compiled; the text names it."""


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` "n" or "t" as in the evaluator. `origin` is the input column whose value this is, `undo` the steps that lead back
    to it (last first): proofs are drawn from both."""

    kind: str
    name: str | None = None
    origin: int | None = None
    undo: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """The columns that a step reads. `frame`: they arrive as a data frame, so names count; `sparse`: as a sparse matrix."""

    columns: tuple[Column, ...]
    frame: bool = False
    sparse: bool = False

    @property
    def width(self) -> int:
        return len(self.columns)

    def numbers(self, who: object) -> None:
        """UnknownError unless every column holds numbers."""
        for column in self.columns:
            if column.kind != "n":
                shown = f"the text column {column.name!r}" if column.name else "a text column"
                raise UnknownError(f"{name_of(who)} reads {shown}")

    def pick(self, places: Sequence[int]) -> Flow:
        return replace(self, columns=tuple(self.columns[place] for place in places))


def name_of(thing: object) -> str:
    return type(thing).__name__


def key_of(thing: object) -> str:
    """The first part of the module, and the name, of a type: "sklearn.StandardScaler"."""
    kind = type(thing)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"


def untouched(thing: object) -> None:
    """UnknownError when the instance replaces a method of its type."""
    for name, value in getattr(thing, "__dict__", {}).items():
        if callable(value) and callable(getattr(type(thing), name, None)) and not isinstance(value, type):
            raise UnknownError(f"{name_of(thing)} has its own {name}")


_UNDO: dict[str, Callable[[float, float], float]] = {
    "subtract": lambda value, by: value + by,
    "add": lambda value, by: value - by,
    "multiply": lambda value, by: value / by if by else value,
    "divide": lambda value, by: value * by,
}

TransformerReader = Callable[["Reading", Any, Flow], tuple[Document, Flow]]
PredictorReader = Callable[["Reading", Any, Flow], Document]


class Reading:
    """Reads one model. Arrays and texts go to `writer`."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.points: dict[int, list[Any]] = {}  # values of each input column at which the model's answer may change
        self.single = False  # the original computes in float32

    def note(self, column: Column, values: Iterable[Any]) -> None:
        """Values of `column` where something changes."""
        if column.origin is None:
            return
        for value in values:
            for step, by in column.undo:
                value = _UNDO[step](value, by) if isinstance(value, float) else value  # noqa: PLW2901
            self.points.setdefault(column.origin, []).append(value)

    def transformer(self, thing: Any, flow: Flow) -> tuple[Document, Flow]:
        from .registry import transformers

        if thing is None or (isinstance(thing, str) and thing == "passthrough"):
            return {"op": "chain", "steps": []}, flow
        read = transformers().get(key_of(thing))
        if read is None:
            raise UnknownError(f"the transformer {name_of(thing)} of {type(thing).__module__} is not known")
        untouched(thing)
        _checked_names(thing, flow)
        document, after = read(self, thing, flow)
        return document, _named(thing, after)

    def predictor(self, thing: Any, flow: Flow) -> Document:
        from .registry import predictors

        read = predictors().get(key_of(thing))
        if read is None:
            raise UnknownError(f"the model {name_of(thing)} of {type(thing).__module__} is not known")
        untouched(thing)
        _checked_names(thing, flow)
        return read(self, thing, flow)


_BY_NAME = ("sklearn.ColumnTransformer", "sklearn.Pipeline", "sklearn.FeatureUnion")


def _checked_names(thing: Any, flow: Flow) -> None:
    """What scikit-learn checks of every input: the number of columns and, of frames, their names in order."""
    if key_of(thing) in _BY_NAME:
        return
    count = getattr(thing, "n_features_in_", None)
    if isinstance(count, int) and count != flow.width and key_of(thing).partition(".")[0] != "catboost":  # 0 once it was saved
        raise UnknownError(f"{name_of(thing)} was fitted on {count} columns and is given {flow.width}")
    names = getattr(thing, "feature_names_in_", None)
    if flow.frame and names is not None and [column.name for column in flow.columns] != list(names):
        raise UnknownError(f"{name_of(thing)} was fitted on columns of other names, or in another order, than it is given")


def _named(thing: Any, flow: Flow) -> Flow:
    """`flow` as `thing.set_output` has it."""
    configured = getattr(thing, "_sklearn_output_config", {}).get("transform")
    if configured in {None, "default"} or key_of(thing) in {"sklearn.Pipeline"}:
        return flow
    if configured not in {"pandas", "polars"}:
        raise UnknownError(f"{name_of(thing)} gives {configured} frames")
    names = list(thing.get_feature_names_out())
    if len(names) != flow.width:
        raise UnknownError(f"{name_of(thing)} names {len(names)} columns and gives {flow.width}")
    columns = tuple(replace(column, name=str(name)) for column, name in zip(flow.columns, names, strict=True))
    return replace(flow, columns=columns, frame=True)


def check(flow: Flow, *, nan: bool, single: bool = False) -> list[Document]:
    """The step that refuses what scikit-learn refuses; none where there is nothing to refuse."""
    return [{"op": "check", "nan": nan, "single": single}] if flow.columns else []


def chain(*steps: Document | list[Document]) -> Document:
    flat: list[Document] = []
    for step in steps:
        flat.extend(step if isinstance(step, list) else [step])
    return {"op": "chain", "steps": flat}
