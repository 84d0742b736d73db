"""The portable scorer of a tabular model: numpy and LightGBM's library only, nothing else of this project.

A copy of this file travels in every trained model as its MLflow loader module, so the model loads wherever numpy and
LightGBM are installed. A row goes from a mapping straight into numbers and through LightGBM's single-row C call; pandas
is touched only when a frame is given.

    model = load("…/data")
    model.probabilities(model.encode([{"age": 41, "job": "technician"}]))
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1
MISSING = float("nan")
DATE_PARTS = ("epoch", "year", "month", "day", "weekday", "hour")
_MANY = 16  # rows from which on a column is coded at once
_PARALLEL = 128  # rows from which on cores share the work
_TRUE = frozenset({"true", "yes", "y", "t", "1", "1.0", "on"})
_FALSE = frozenset({"false", "no", "n", "f", "0", "0.0", "off"})
_PUBLIC = ("name", "type", "categories", "minimum", "maximum", "example")


class ColumnError(ValueError):
    """The value of `column` in row `row` (from 0) does not fit. `absent`: the row has no such column at all."""

    def __init__(self, row: int, column: str, value: object, expected: str, absent: bool = False) -> None:
        what = "is missing" if absent else f"is {_short(value)}"
        super().__init__(f"row {row}: column {column!r} {what}; expected {expected}")
        self.row = row
        self.column = column
        self.value = value
        self.expected = expected
        self.absent = absent


class UnfitError(Exception):
    """A value that its coder cannot read; `expected` says what it reads."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def is_missing(value: object) -> bool:
    """None, NaN, NaT, NA and the empty text."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, float):
        return math.isnan(value)
    return type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, np.floating) and bool(np.isnan(value)))


def category_text(value: object) -> str:
    """The text under which a value of a category column is known; raises UnfitError for what is no single value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        number = float(value)
        return str(int(number)) if number.is_integer() else repr(number)
    if isinstance(value, datetime | date):
        return value.isoformat()
    raise UnfitError("text")


def number_of(value: object, tokens: frozenset[str] = frozenset()) -> float:
    """The value as a finite number or NaN. Infinities count as missing, in training as in scoring."""
    if is_missing(value):
        return MISSING
    if isinstance(value, bool | np.bool_):
        raise UnfitError("a number")
    if isinstance(value, str):
        text = value.strip()
        if text in tokens:
            return MISSING
        if "_" in text:
            raise UnfitError("a number")
        value = text
    elif not hasattr(value, "__float__"):
        raise UnfitError("a number")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise UnfitError("a number") from None
    except OverflowError:
        return MISSING
    return number if math.isfinite(number) else MISSING


def boolean_of(value: object) -> float:
    """1.0, 0.0 or NaN."""
    if is_missing(value):
        return MISSING
    if isinstance(value, bool | np.bool_):
        return 1.0 if value else 0.0
    if isinstance(value, str):
        text = value.strip().casefold()
        if text in _TRUE:
            return 1.0
        if text in _FALSE:
            return 0.0
    elif isinstance(value, int | float | np.integer | np.floating) and value in (0, 1):
        return float(value)
    raise UnfitError("true or false")


def moment_of(value: object) -> datetime | None:
    """The moment, without zone (in UTC when it had one), or None when missing."""
    if is_missing(value):
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise UnfitError("a date or time such as 2026-01-31 or 2026-01-31T12:00:00") from None
    elif isinstance(value, np.datetime64):
        value = value.astype("datetime64[us]").item()
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    raise UnfitError("a date or time such as 2026-01-31 or 2026-01-31T12:00:00")


_ORIGIN = datetime(1970, 1, 1)


def date_parts(value: object) -> tuple[float, ...]:
    """Numbers in the order of DATE_PARTS."""
    moment = moment_of(value)
    if moment is None:
        return (MISSING,) * len(DATE_PARTS)
    return (
        (moment - _ORIGIN).total_seconds(),
        float(moment.year),
        float(moment.month),
        float(moment.day),
        float(moment.weekday()),
        float(moment.hour),
    )


def _category_coder(codes: Mapping[str, float], other: float) -> Callable[[object], float]:
    def code(value: object) -> float:
        if type(value) is str:
            found = codes.get(value)
            if found is not None:
                return found
        if is_missing(value):
            return MISSING
        return codes.get(category_text(value), other)

    return code


def _number_coder(tokens: frozenset[str]) -> Callable[[object], float]:
    def code(value: object) -> float:
        if type(value) is float:
            return value if math.isfinite(value) else MISSING
        return number_of(value, tokens)

    return code


def _categories_at_once(codes: Mapping[str, float], one: Callable[[object], float]) -> Callable[[list[object]], list[float]]:
    def code(values: list[object]) -> list[float]:
        found = list(map(codes.get, values))  # type: ignore[arg-type]
        return [one(value) for value in values] if None in found else found  # type: ignore[return-value]

    return code


def _numbers_at_once(one: Callable[[object], float]) -> Callable[[list[object]], Any]:
    def code(values: list[object]) -> Any:
        if not {*map(type, values)} <= {float, int}:
            return [one(value) for value in values]
        numbers = np.array(values, dtype=np.float64)
        return np.where(np.isfinite(numbers), numbers, MISSING)

    return code


class Encoder:
    """Rows to numbers. `columns` as the model file has them: `name`, `kind` (number | boolean | category | datetime) and
    for categories `codes` (the values in the order of their codes, 0…) and `other` (the code of every other value; None: it
    counts as missing)."""

    def __init__(self, columns: Sequence[Mapping[str, Any]]) -> None:
        self._coders: list[tuple[str, Callable[[object], Any], bool, str]] = []
        self._at_once: list[tuple[str, Callable[[list[object]], Any]]] = []
        self.width = 0
        for column in columns:
            kind = column["kind"]
            coder: Callable[[object], Any]
            if kind == "category":
                codes = {text: float(index) for index, text in enumerate(column["codes"])}
                other = MISSING if column.get("other") is None else float(column["other"])
                coder, expected = _category_coder(codes, other), "text"
                self._at_once.append((column["name"], _categories_at_once(codes, coder)))
            elif kind == "boolean":
                coder, expected = boolean_of, "true or false"
                self._at_once.append((column["name"], lambda values: [boolean_of(value) for value in values]))
            elif kind == "datetime":
                coder, expected = date_parts, "a date or time"
            else:
                coder, expected = _number_coder(frozenset(column.get("missing_tokens", ()))), "a number"
                self._at_once.append((column["name"], _numbers_at_once(coder)))
            many = kind == "datetime"
            self.width += len(DATE_PARTS) if many else 1
            self._coders.append((column["name"], coder, many, expected))
        self._simple = None if any(many for _, _, many, _ in self._coders) else [(n, c) for n, c, _, _ in self._coders]

    def rows(self, rows: Sequence[Mapping[str, object]]) -> np.ndarray:
        """float64 (len(rows), width). Raises ColumnError."""
        matrix = np.empty((len(rows), self.width), dtype=np.float64)
        simple = self._simple
        if simple is not None and len(rows) >= _MANY:
            # What does not fit is met again row by row, and named.
            with suppress(KeyError, UnfitError, TypeError, ValueError, OverflowError):
                for place, (name, code_all) in enumerate(self._at_once):
                    matrix[:, place] = code_all([row[name] for row in rows])
                return matrix
        for index, row in enumerate(rows):
            if simple is not None:
                try:
                    matrix[index] = [code(row[name]) for name, code in simple]
                    continue
                except (KeyError, UnfitError, TypeError):
                    pass
            matrix[index] = self._slow(index, row)
        return matrix

    def _slow(self, index: int, row: Mapping[str, object]) -> list[float]:
        values: list[float] = []
        for name, code, many, expected in self._coders:
            if name not in row:
                raise ColumnError(index, name, None, expected, absent=True)
            try:
                coded = code(row[name])
            except UnfitError as error:
                raise ColumnError(index, name, row[name], error.expected) from None
            except (TypeError, ValueError, OverflowError):
                raise ColumnError(index, name, row[name], expected) from None
            if many:
                values.extend(coded)
            else:
                values.append(coded)
        return values

    def frame(self, frame: Any) -> np.ndarray:
        """A pandas frame to float64 (rows, width); the same numbers as `rows` gives. Raises ColumnError."""
        matrix = np.empty((len(frame), self.width), dtype=np.float64)
        place = 0
        for name, code, many, expected in self._coders:
            if name not in frame.columns:
                raise ColumnError(0, name, None, expected, absent=True)
            size = len(DATE_PARTS) if many else 1
            self._column(matrix[:, place : place + size], frame[name], code, expected)
            place += size
        return matrix

    @staticmethod
    def _column(target: np.ndarray, series: Any, code: Callable[[object], Any], expected: str) -> None:
        name = series.name
        if expected == "a number" and series.dtype.kind in "iuf" and isinstance(series.dtype, np.dtype):
            values = series.to_numpy(dtype=np.float64)
            target[:, 0] = np.where(np.isfinite(values), values, MISSING)
            return
        if series.dtype == object:  # pandas takes 1 and True for one value; the coders do not
            for index, value in enumerate(series.tolist()):
                try:
                    target[index] = code(value)
                except (UnfitError, TypeError, ValueError, OverflowError) as error:
                    wanted = error.expected if isinstance(error, UnfitError) else expected
                    raise ColumnError(index, str(name), value, wanted) from None
            return
        # Each distinct value is coded once, by the same coder that a single row takes.
        positions, distinct = series.factorize(use_na_sentinel=True)
        coded = np.full((len(distinct) + 1, target.shape[1]), MISSING)
        for index, value in enumerate(distinct):
            try:
                coded[index] = code(value)
            except (UnfitError, TypeError, ValueError, OverflowError) as error:
                wanted = error.expected if isinstance(error, UnfitError) else expected
                raise ColumnError(int(np.argmax(positions == index)), str(name), value, wanted) from None
        target[:] = coded[positions]


def _shared_library() -> tuple[ctypes.CDLL, ctypes.PyDLL]:
    """LightGBM's C library, found without importing the package (its import costs a second). The second handle keeps
    Python's lock: for calls of microseconds, releasing it costs more than the call."""
    import importlib.util
    import sys

    spec = importlib.util.find_spec("lightgbm")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'lightgbm'", name="lightgbm")
    folder = Path(next(iter(spec.submodule_search_locations)))
    suffix = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")
    for place in (folder / "lib", folder / "bin", folder):
        path = place / f"lib_lightgbm{suffix}"
        if path.is_file():
            return ctypes.CDLL(str(path)), ctypes.PyDLL(str(path))
    import lightgbm.basic

    library = lightgbm.basic._LIB
    return library, ctypes.PyDLL(library._name)


_DOUBLES = ctypes.POINTER(ctypes.c_double)
_ROW_OPTIONS = b"num_threads=1 verbosity=-1"


class Booster:
    """One LightGBM model through the C interface. Not a pickle: the text that LightGBM itself writes."""

    _libraries: tuple[ctypes.CDLL, ctypes.PyDLL] | None = None
    _loading = threading.Lock()

    def __init__(self, text: str, outputs: int, width: int) -> None:
        with Booster._loading:
            if Booster._libraries is None:
                Booster._libraries = _shared_library()
        self._many, self._one = Booster._libraries
        self.outputs = outputs
        self.width = width
        self._handle = ctypes.c_void_p()
        iterations = ctypes.c_int()
        self._check(
            self._many.LGBM_BoosterLoadModelFromString(text.encode(), ctypes.byref(iterations), ctypes.byref(self._handle))
        )
        self._fast = ctypes.c_void_p()
        self._check(
            self._many.LGBM_BoosterPredictForMatSingleRowFastInit(
                self._handle,
                ctypes.c_int(0),
                ctypes.c_int(0),
                ctypes.c_int(-1),
                ctypes.c_int(1),
                ctypes.c_int32(width),
                ctypes.c_char_p(_ROW_OPTIONS),
                ctypes.byref(self._fast),
            )
        )
        self._result = np.zeros(outputs, dtype=np.float64)
        self._result_pointer = ctypes.c_void_p(self._result.ctypes.data)
        self._length = ctypes.c_int64()
        self._length_pointer = ctypes.byref(self._length)
        self._call = self._one.LGBM_BoosterPredictForMatSingleRowFast

    def _check(self, status: int) -> None:
        if status != 0:
            describe = self._many.LGBM_GetLastError
            describe.restype = ctypes.c_char_p
            raise RuntimeError(f"LightGBM: {describe().decode(errors='replace')}")

    def row(self, pointer: ctypes.c_void_p) -> np.ndarray:
        """(outputs,) for the row at `pointer`. The array is reused by the next call; one caller at a time."""
        if self._call(self._fast, pointer, self._length_pointer, self._result_pointer) != 0:
            self._check(-1)
        return self._result

    def matrix(self, matrix: np.ndarray, threads: int = 0) -> np.ndarray:
        """(rows, outputs) for a C-ordered float64 matrix."""
        result = np.empty((len(matrix), self.outputs), dtype=np.float64)
        length = ctypes.c_int64()
        if len(matrix):
            self._check(
                self._many.LGBM_BoosterPredictForMat(
                    self._handle,
                    ctypes.c_void_p(matrix.ctypes.data),
                    ctypes.c_int(1),
                    ctypes.c_int32(matrix.shape[0]),
                    ctypes.c_int32(matrix.shape[1]),
                    ctypes.c_int(1),
                    ctypes.c_int(0),
                    ctypes.c_int(0),
                    ctypes.c_int(-1),
                    ctypes.c_char_p(f"num_threads={threads} verbosity=-1".encode()),
                    ctypes.byref(length),
                    ctypes.c_void_p(result.ctypes.data),
                )
            )
        return result

    def close(self) -> None:
        if self._fast:
            self._many.LGBM_FastConfigFree(self._fast)
            self._fast = ctypes.c_void_p()
        if self._handle:
            self._many.LGBM_BoosterFree(self._handle)
            self._handle = ctypes.c_void_p()


def softmax(scores: np.ndarray) -> np.ndarray:
    """(n, k) scores to probabilities."""
    scores = scores - scores.max(axis=1, keepdims=True)
    grown = np.exp(scores)
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


class Linear:
    """A linear model over standardized numbers and one-hot categories, held as arrays.

    `numbers` and `categories` are positions in the encoded matrix; a missing number becomes its mean, and each category
    column has a weight row for every code and one, the last, for missing or unknown."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.numbers = arrays["numbers"].astype(np.int64)
        self.mean = arrays["mean"]
        self.scale = arrays["scale"]
        self.weights = arrays["weights"]
        self.missing = arrays["missing"]
        self.categories = arrays["categories"].astype(np.int64)
        self.offsets = arrays["offsets"].astype(np.int64)
        self.sizes = arrays["sizes"].astype(np.int64)
        self.table = arrays["table"]
        self.intercept = arrays["intercept"]

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """(n, k) raw scores."""
        result: np.ndarray = np.tile(self.intercept, (len(matrix), 1))
        if len(self.numbers):
            values = matrix[:, self.numbers]
            absent = np.isnan(values)
            standard = np.where(absent, 0.0, (values - self.mean) / self.scale)
            # The products are summed row by row in one fixed order, so a row scores the same alone and in a batch.
            result += np.einsum("nf,fk->nk", np.clip(standard, -8.0, 8.0), self.weights)
            result += np.einsum("nf,fk->nk", absent.astype(np.float64), self.missing)
        if len(self.categories):
            codes = matrix[:, self.categories]
            known = np.nan_to_num(codes, nan=-1.0)
            codes = np.where((known >= 0) & (known < self.sizes - 1), known, self.sizes - 1).astype(np.int64)
            result += self.table[codes + self.offsets].sum(axis=1)
        return result


class Member:
    """A weighted part of the ensemble: a bag of boosters or a linear model."""

    def __init__(self, document: Mapping[str, Any], folder: Path, outputs: int, width: int) -> None:
        self.weight = float(document["weight"])
        self.link = document["link"]  # from the parts' mean to the answer: see `linked`
        self.boosters: list[Booster] = []
        self.linear: list[Linear] = []
        for name in document["files"]:
            if document["kind"] == "lightgbm":
                text = (folder / name).read_text(encoding="utf-8")
                self.boosters.append(Booster(text, int(document["outputs"]), width))
            else:
                with np.load(folder / name, allow_pickle=False) as arrays:
                    self.linear.append(Linear({key: arrays[key] for key in arrays.files}))
        self.outputs = outputs

    def answer(self, matrix: np.ndarray) -> np.ndarray:
        """(n, k) probabilities or (n, 1) values."""
        total: np.ndarray | None = None
        if self.boosters and len(matrix) == 1:
            pointer = ctypes.c_void_p(matrix.ctypes.data)
            total = self.boosters[0].row(pointer).copy()
            for booster in self.boosters[1:]:
                total += booster.row(pointer)
            total = linked(total[None, :] / len(self.boosters), self.link)
        elif self.boosters:
            total = linked(_raw(self.boosters, matrix) / len(self.boosters), self.link)
        for part in self.linear:
            scores = linked(part.scores(matrix), self.link)
            total = scores if total is None else total + scores
        if self.linear and total is not None:
            total = total / len(self.linear)
        assert total is not None
        return total


def _raw(boosters: Sequence[Booster], matrix: np.ndarray) -> np.ndarray:
    """(n, outputs): the boosters' summed scores. Each core takes a share of the rows through all of them: the library's own
    threads wait for each other after every booster, which costs more than the trees where other work runs beside them."""

    def share(part: np.ndarray) -> np.ndarray:
        total = boosters[0].matrix(part, 1)
        for booster in boosters[1:]:
            total += booster.matrix(part, 1)
        return total

    workers = min(_cores(), len(matrix) // (_PARALLEL // 2))
    if workers < 2:
        return share(matrix)
    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(share, np.array_split(matrix, workers))))


def _cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def linked(scores: np.ndarray, link: str) -> np.ndarray:
    """Apply a member's link to the mean of its parts: (n, outputs) to (n, k).

    `none`; `positive`: one column, the second class's probability; `share`: bounded votes, one column a class or the second
    class alone; `logistic` and `softmax`: scores."""
    if link == "none":
        return scores
    if link == "softmax":
        return softmax(scores)
    if link == "logistic":
        scores = 1.0 / (1.0 + np.exp(-np.clip(scores, -700.0, 700.0)))
    elif link == "share":
        scores = np.clip(scores, 1e-6, 1.0 - 1e-6)
    elif link != "positive":
        raise ValueError(f"unknown link {link!r}")
    if scores.shape[1] == 1:
        return np.hstack([1.0 - scores, scores])
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


class TabularModel:
    """A trained model: columns, ensemble and threshold. Safe to share between threads."""

    def __init__(self, folder: Path) -> None:
        document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        if document.get("format") != FORMAT:
            raise ValueError(f"model format {document.get('format')!r} is not {FORMAT}: a newer release made it")
        self.document: dict[str, Any] = document
        self.task: str = document["task"]
        self.target: str = document["target"]
        self.classes: list[Any] = document["classes"]
        self.threshold: float | None = document["threshold"]
        self.positive_index: int | None = document["positive_index"]
        self.columns: list[dict[str, Any]] = [{key: c.get(key) for key in _PUBLIC} for c in document["columns"]]
        self._encoder = Encoder(document["columns"])
        self.width = self._encoder.width
        outputs = len(self.classes) if self.task == "classification" else 1
        self._members = [Member(part, folder, outputs, self.width) for part in document["members"]]
        self._lock = threading.Lock()  # the single-row calls share their result buffers

    def encode(self, rows: Sequence[Mapping[str, object]]) -> np.ndarray:
        """Rows to float64 (n, width). Extra columns are ignored; unknown categories and missing values follow the model.
        Raises ColumnError for an absent column or a value of the wrong type."""
        return self._encoder.rows(rows)

    def encode_frame(self, frame: Any) -> np.ndarray:
        """A pandas frame to float64 (n, width); as `encode`."""
        return self._encoder.frame(frame)

    def _answer(self, matrix: np.ndarray) -> np.ndarray:
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        if len(matrix) == 1:
            with self._lock:
                return self._sum(matrix)
        return self._sum(matrix)

    def _sum(self, matrix: np.ndarray) -> np.ndarray:
        total = self._members[0].answer(matrix) * self._members[0].weight
        for member in self._members[1:]:
            total += member.answer(matrix) * member.weight
        return total

    def probabilities(self, matrix: np.ndarray) -> np.ndarray:
        """(n, k) for an encoded matrix; columns in the order of `classes`."""
        if self.task != "classification":
            raise ValueError("a regression model has no probabilities")
        return self._answer(matrix)

    def values(self, matrix: np.ndarray) -> np.ndarray:
        """(n,) predictions of a regression model for an encoded matrix."""
        if self.task != "regression":
            raise ValueError("a classification model has no values")
        return self._answer(matrix)[:, 0]

    def labels(self, probabilities: np.ndarray) -> list[Any]:
        """The label of each row: the positive class from `threshold` on where one is set, else the most probable."""
        if self.threshold is not None and self.positive_index is not None:
            positive = self.positive_index
            chosen = np.where(probabilities[:, positive] >= self.threshold, positive, 1 - positive)
        else:
            chosen = probabilities.argmax(axis=1)
        return [self.classes[index] for index in chosen.tolist()]

    def predict(self, frame: Any, params: Mapping[str, Any] | None = None) -> Any:
        """MLflow's entry: labels or values (n,); with `params` `{"method": "predict_proba"}` probabilities (n, k)."""
        matrix = self.encode_frame(frame)
        if self.task == "regression":
            return self.values(matrix)
        probabilities = self.probabilities(matrix)
        if params and params.get("method") == "predict_proba":
            return probabilities
        return np.array(self.labels(probabilities))


def load(data_path: str) -> TabularModel:
    """The model in the folder `data_path`."""
    return TabularModel(Path(data_path))


def _load_pyfunc(data_path: str) -> TabularModel:
    """What MLflow calls."""
    return load(data_path)
