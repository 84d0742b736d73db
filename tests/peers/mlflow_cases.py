"""The requests of the MLflow suite: a body in a dialect of opsml, and what MLflow's server gets in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """`ours` is sent to opsml; `theirs` to MLflow. `difference` says why the answers may differ; without one they are equal."""

    model: str
    name: str
    ours: Any
    theirs: Any
    difference: str = ""

    @property
    def label(self) -> str:
        return f"{self.model}: {self.name}"


SILENT = "MLflow changes the value without a word; opsml refuses it with 400"
NAN = "MLflow writes NaN and Infinity, which is no JSON; opsml writes null"
MISSING_CELL = "MLflow reads the missing column of one row as NaN; opsml names the row and the column"
STRUCTURE = "MLflow passes lists and objects through in a column of texts; opsml refuses them with 400"
NA = "MLflow has no JSON for pandas.NA and answers 500; opsml writes null"


def table(model: str, name: str, columns: list[str] | None, *rows: list[Any], **more: Any) -> Case:
    """A table in the split form, on both sides."""
    split: dict[str, Any] = {"data": list(rows)} if columns is None else {"columns": columns, "data": list(rows)}
    if "index" in more:
        split["index"] = more["index"]
    params = {"params": more["params"]} if "params" in more else {}
    return Case(model, name, {"input_data": split, **params}, {"dataframe_split": split, **params}, more.get("difference", ""))


def records(model: str, name: str, *rows: dict[str, Any], difference: str = "") -> Case:
    return Case(model, name, {"input_data": list(rows)}, {"dataframe_records": list(rows)}, difference)


def given(model: str, name: str, value: Any, key: str = "inputs", difference: str = "", **more: Any) -> Case:
    """A tensor, or arrays by name."""
    return Case(model, name, {"input_data": value, **more}, {key: value, **more}, difference)


def one(kind: str, name: str, *values: Any, difference: str = "") -> Case:
    return table(f"echo_{kind}", name, ["a"], *([value] for value in values), difference=difference)


_KINDS = [
    *(one(kind, f"{kind} {value!r}", value) for kind in ("integer", "long") for value in (0, -7, 3.0, "12", True)),
    *(one(kind, f"{kind} {value!r}", value) for kind in ("integer", "long") for value in (None, "x", "", "1.5", [1], {"a": 1})),
    *(one(kind, f"{kind} 1.5", 1.5, difference=SILENT) for kind in ("integer", "long")),
    *(one(kind, f"{kind} mixed with null", 1, None) for kind in ("integer", "long")),
    one("integer", "integer at the bounds", (1 << 31) - 1, -(1 << 31)),
    one("integer", "integer beyond 32 bits", 1 << 31, difference=SILENT),
    one("integer", "integer beyond 32 bits as text", str(1 << 31)),
    one("long", "long at the bounds", (1 << 63) - 1, -(1 << 63)),
    one("long", "long 10**19 wraps", 10**19, difference=SILENT),
    one("long", "long -10**19", -(10**19)),
    one("long", "long 10**30", 10**30),
    one("long", "long 1e19 as a float", 1e19, difference=SILENT),
    one("long", "long 10**19 as text", str(10**19)),
    *(one(kind, f"{kind} {value!r}", value) for kind in ("float", "double") for value in (0, 1.5, -2, None, "2.5", True)),
    *(one(kind, f"{kind} 'nan'", "nan") for kind in ("float", "double")),
    *(one(kind, f"{kind} {value!r}", value) for kind in ("float", "double") for value in ("x", "", [1.0], {"a": 1})),
    one("float", "float beyond 32 bits", 1e39, difference=SILENT),
    one("float", "float 16777217", 16777217),
    one("double", "double 10**19", 10**19),
    one("double", "double 10**400", 10**400),
    one("double", "double mixed", 1, 2.5, None, "3"),
    one("boolean", "boolean", True, False),
    one("boolean", "boolean 0 and 1", 0, 1),
    one("boolean", "boolean null", None, difference=SILENT),
    one("boolean", "boolean 'false'", "false", difference=SILENT),
    one("boolean", "boolean 2", 2, difference=SILENT),
    *(one("string", f"string {value!r}", value) for value in ("a", "", None, 5, 1.5, True, "ü\U0001f600")),
    *(one("string", f"string {value!r}", value, difference=STRUCTURE) for value in ([1, "a"], {"a": 1})),
    one("string", "string mixed", "a", None, 3),
    one("string", "string null only", None, None),
    *(one("datetime", f"datetime {value!r}", value) for value in ("2026-01-31T10:00:00", "2026-01-31", None, "31 Jan 2026")),
    *(one("datetime", f"datetime {value!r}", value) for value in ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00+02:00")),
    *(one("datetime", f"datetime {value!r}", value) for value in (1769817600, "x", "", True, [1], "0001-01-01", "9999-01-01")),
    one("datetime", "datetime of two formats", "2026-01-31", "2026-01-31T10:00:00"),
    *(one("binary", f"binary {value!r}", value) for value in ("YWJj", "", "YWJj\n", "!!", None, 5, "ü", "YQ")),
]  # fmt: skip

_MIXED = ["i", "l", "f", "d", "b", "s"]
_TABLES = [
    table("echo_mixed", "all types", _MIXED, [1, 2, 1.5, 2.5, True, "x"]),
    table("echo_mixed", "all types as integers", _MIXED, [1, 2, 3, 4, 1, "x"]),
    table("echo_mixed", "columns in another order", _MIXED[::-1], ["x", True, 2.5, 1.5, 2, 1]),
    table("echo_mixed", "an index of its own", _MIXED, [1, 2, 1.5, 2.5, True, "x"], index=[7]),
    table("echo_mixed", "an index of texts", _MIXED, [1, 2, 1.5, 2.5, True, "x"], index=["row"]),
    table("echo_mixed", "an index that repeats", _MIXED, *[[1, 2, 1.5, 2.5, True, "x"]] * 2, index=[3, 3]),
    table("echo_mixed", "an index that is too long", _MIXED, [1, 2, 1.5, 2.5, True, "x"], index=[0, 1]),
    table("echo_mixed", "an index that is no list", _MIXED, [1, 2, 1.5, 2.5, True, "x"], index=5),
    table("echo_mixed", "no rows", _MIXED),
    table("echo_mixed", "a row too short", _MIXED, [1, 2]),
    table("echo_mixed", "a row too long", _MIXED, [1, 2, 1.5, 2.5, True, "x", 9]),
    table("echo_mixed", "a column too few", _MIXED[1:], [2, 1.5, 2.5, True, "x"]),
    table("echo_mixed", "a column too many", [*_MIXED, "z"], [1, 2, 1.5, 2.5, True, "x", 9]),
    table("echo_mixed", "100 rows", _MIXED, *([n, -n, n / 3, n * 1.0, n % 2 == 0, str(n)] for n in range(100))),
    records("echo_mixed", "records", dict(zip(_MIXED, [1, 2, 1.5, 2.5, True, "x"], strict=True))),
    records("echo_mixed", "a record with a null", dict(zip(_MIXED, [1, 2, None, None, True, None], strict=True))),
    records("echo_mixed", "a record without a column", dict(zip(_MIXED[1:], [2, 1.5, 2.5, True, "x"], strict=True))),
    records("echo_mixed", "a record with a column too many",
            {**dict(zip(_MIXED, [1, 2, 1.5, 2.5, True, "x"], strict=True)), "z": 1}),
    records("echo_double", "a column missing in one record", {"a": 1.0}, {"b": 2.0}, difference=MISSING_CELL),
    records("echo_double", "no records"),
    records("echo_double", "a record that is empty", {}),
    Case("echo_mixed", "rows as lists", {"input_data": [[1, 2, 1.5, 2.5, True, "x"]]},
         {"dataframe_split": {"columns": _MIXED, "data": [[1, 2, 1.5, 2.5, True, "x"]]}}),
    Case("echo_mixed", "AutoML v1", {"data": [dict(zip(_MIXED, [1, 2, 1.5, 2.5, True, "x"], strict=True))]},
         {"dataframe_records": [dict(zip(_MIXED, [1, 2, 1.5, 2.5, True, "x"], strict=True))]}),
    Case("echo_mixed", "AutoML v2", {"Inputs": {"data": [dict(zip(_MIXED, [1, 2, 1.5, 2.5, True, "x"], strict=True))]}},
         {"dataframe_records": [dict(zip(_MIXED, [1, 2, 1.5, 2.5, True, "x"], strict=True))]}),
    Case("echo_double", "data with records in it", {"input_data": {"data": [{"a": 1}]}},
         {"dataframe_split": {"data": [{"a": 1}]}}),
    given("echo_double", "lists by column name", {"a": [1.5, 2.5]}),
    given("echo_long", "lists by column name that would be cut", {"a": [1.5]}, difference=SILENT),
    given("echo_double", "a scalar by column name", {"a": 1.5}),
    given("echo_mixed", "lists by name of unequal length",
          {"i": [1, 2], "l": [1], "f": [1.0], "d": [1.0], "b": [True], "s": ["x"]}),
    given("echo_double", "a list of numbers for one column", [1.5, 2.5]),
    given("echo_double", "a number", 1.5),
    given("echo_double", "text", "x"),
    given("echo_double", "null", None),
    given("echo_double", "an empty object", {}),
    table("echo_names", "names of all sorts", ["a b", "ü\"'", ""], [1.0, 2, "x"]),
    table("echo_data", "columns named data and index", ["data", "index"], [1.0, 2]),
    table("echo_optional", "all columns", ["a", "b", "c", "n", "t"], [1, 2.5, "x", 3, True]),
    table("echo_optional", "only what is required", ["a"], [1]),
    records("echo_optional", "only what is required, as records", {"a": 1}, {"a": 2}),
    records("echo_optional", "some rows with, some without", {"a": 1, "b": 1.5}, {"a": 2}),
    table("echo_optional", "nulls in optional columns", ["a", "b", "c"], [1, None, None]),
    table("echo_optional", "null in an optional long", ["a", "n"], [1, None]),
    table("echo_optional", "null in an optional boolean", ["a", "t"], [1, None], difference=SILENT),
    table("echo_optional", "without the required one", ["b"], [1.5]),
    table("echo_unnamed", "unnamed columns", None, [1, 2.5], [3, 4.5]),
    table("echo_unnamed", "unnamed columns, one too few", None, [1]),
    table("echo_unnamed", "unnamed columns, one too many", None, [1, 2.5, 9]),
    table("echo_unnamed", "unnamed columns with names", ["p", "q"], [1, 2.5]),
    Case("echo_unnamed", "unnamed columns as lists", {"input_data": [[1, 2.5]]}, {"dataframe_split": {"data": [[1, 2.5]]}}),
    table("echo_unnamed", "null in an unnamed long", None, [None, 2.5]),
    table("echo_unnamed", "1.5 in an unnamed long", None, [1.5, 2.5], difference=SILENT),
    given("echo_unnamed_one", "a list of texts", ["a", "b"]),
    given("echo_unnamed_one", "a text", "a"),
    table("echo_none", "no signature, a table", ["p", "q"], [1, "x"], [2.5, None]),
    records("echo_none", "no signature, records", {"p": 1}, {"q": 2}),
    given("echo_none", "no signature, an array", [[1, 2], [3, 4]]),
    given("echo_none", "no signature, arrays by name", {"p": [1, 2], "q": ["x", "y"]}),
    given("echo_none", "no signature, a number", 5),
    given("echo_none", "no signature, a ragged array", [[1, 2], [3]]),
    given("echo_none", "no signature, a text", "hello"),
]  # fmt: skip

_NESTED = [
    table("echo_array", "arrays", ["a", "b"], [[1, 2], ["x"]], [[3], ["y", "z"]]),
    records("echo_array", "arrays as records", {"a": [1], "b": ["x"]}),
    table("echo_array", "an empty array", ["a", "b"], [[], []]),
    table("echo_array", "null for an array", ["a", "b"], [None, ["x"]]),
    table("echo_array", "null in an array", ["a", "b"], [[1, None], ["x"]]),
    table("echo_array", "1.5 in an array of longs", ["a", "b"], [[1.5], ["x"]]),
    table("echo_array", "10**19 in an array of longs", ["a", "b"], [[10**19], ["x"]]),
    table("echo_array", "a scalar for an array", ["a", "b"], [1, ["x"]]),
    table("echo_array", "text in an array of longs", ["a", "b"], [["1"], ["x"]]),
    Case("echo_array_one", "lists for the one array", {"input_data": [[1.5, 2.5], [3.5]]},
         {"dataframe_split": {"columns": ["a"], "data": [[[1.5, 2.5]], [[3.5]]]}}),
    table("echo_array_one", "integers in an array of doubles", ["a"], [[2, 3]]),
    table("echo_array_deep", "arrays of arrays", ["a"], [[[1.5], [2.5, 3.5]]]),
    table("echo_array_deep", "a flat array for a deep one", ["a"], [[1.5]]),
    table("echo_object", "an object", ["o"], [{"x": 1, "y": "t"}]),
    table("echo_object", "an object without what is optional", ["o"], [{"x": 1}]),
    table("echo_object", "an object without what is required", ["o"], [{"y": "t"}]),
    table("echo_object", "an object with more", ["o"], [{"x": 1, "z": 2}]),
    table("echo_object", "an object of a wrong type", ["o"], [{"x": "one"}]),
    table("echo_object", "null for an object", ["o"], [None]),
    records("echo_objects", "arrays of objects", {"o": [{"x": 1}, {"x": 2, "y": "t"}], "k": "q"}),
    records("echo_objects", "no object in the array", {"o": [], "k": "q"}),
    table("echo_map", "a map", ["m"], [{"a": 1, "b": 2}]),
    table("echo_map", "an empty map", ["m"], [{}]),
    table("echo_map", "a map of a wrong type", ["m"], [{"a": "x"}]),
    *(table("echo_any", f"any {value!r}", ["a"], [value]) for value in (1, "x", None, [1, "a"], {"k": [1]}, True)),
]  # fmt: skip

_TENSORS = [
    given("tensor_float", "a matrix", [[1, 2, 3], [4.5, 5, 6]]),
    given("tensor_float", "a matrix with null", [[1, None, 3]], difference=NAN),
    given("tensor_float", "a wrong shape", [[1, 2]]),
    given("tensor_float", "a ragged matrix", [[1, 2, 3], [1]]),
    given("tensor_float", "text in a matrix", [["a", 2, 3]]),
    given("tensor_float", "numbers as text", [["1", "2", "3"]]),
    given("tensor_float", "a flat list", [1, 2, 3]),
    given("tensor_float", "an empty list", []),
    given("tensor_float", "a number", 5),
    given("tensor_float", "an object", {"a": 1}),
    table("tensor_float", "a table for a matrix", ["p", "q", "r"], [1.0, 2.0, 3.0]),
    given("tensor_single", "three dimensions", [[[1, 2], [3, 4]]]),
    given("tensor_single", "two dimensions for three", [[1, 2]]),
    given("tensor_int", "integers", [1, 2]),
    given("tensor_int", "integers with 1.5", [1, 1.5], difference=SILENT),
    given("tensor_int", "integers with 2.0", [1, 2.0]),
    given("tensor_int", "integers with null", [1, None]),
    given("tensor_int", "10**19", [10**19]),
    given("tensor_int", "integers as text", ["5"]),
    given("tensor_bytes", "bytes of an image", [[0, 255]]),
    given("tensor_bytes", "256", [[256, 0]]),
    given("tensor_bytes", "-1", [[-1, 0]]),
    given("tensor_text", "texts", ["a", "bcd"]),
    given("tensor_bool", "booleans", [True, False]),
    given("tensor_bool", "'false' as a boolean", ["false"], difference=SILENT),
    given("tensor_named", "named tensors", {"a": [[1, 2]], "b": [3]}),
    given("tensor_named", "named tensors, one missing", {"a": [[1, 2]]}),
    given("tensor_named", "named tensors, one more", {"a": [[1, 2]], "b": [3], "c": [1]}),
    given("tensor_named", "named tensors by row", [{"a": [1, 2], "b": 3}, {"a": [4, 5], "b": 6}], "instances"),
    given("tensor_named", "named tensors by row, ragged", [{"a": [1, 2], "b": 3}, {"a": [4, 5]}], "instances"),
    given("tensor_named", "1.5 in a named tensor", {"a": [[1, 2]], "b": [1.5]}, difference=SILENT),
    given("tensor_named", "no names", [[1, 2]]),
    given("tensor_named_one", "a tensor named data", {"data": [[1, 2]]}),
    given("tensor_named_one", "the only tensor without its name", [[1, 2]]),
    given("tensor_ragged", "a ragged tensor", [[1, 2], [3]]),
]

_RETURNS = (
    "frame", "frame_index", "frame_times", "frame_numbers", "frame_empty", "frame_bytes", "frame_lists", "series",
    "series_named", "dict", "dict_arrays", "dict_int_keys", "list", "list_numpy", "list_nested", "tuple", "text",
    "text_unicode", "none", "int", "float", "bool", "numpy_scalar", "numpy_zero_rank", "numpy_one", "numpy_two", "numpy_three",
    "numpy_text", "numpy_bool", "numpy_objects", "numpy_bytes", "numpy_times", "numpy_nanoseconds", "float32", "uint64", "huge",
    "dates", "timestamp", "bytes", "bytes_long", "empty_list", "empty_array", "raises_value", "raises_runtime",
)  # fmt: skip
_RESULTS = [
    *(table("returns", f"returns {kind}", ["kind"], [kind], ["x"]) for kind in _RETURNS),
    *(
        table("returns", f"returns {kind}", ["kind"], [kind], difference=NAN)
        for kind in ("frame_nan", "nan", "numpy_nan", "nat")
    ),
    *(
        table("returns", f"returns {kind}", ["kind"], [kind])
        for kind in ("decimal", "set", "complex", "generator", "multi_index")
    ),
    table("returns", "returns pandas_na", ["kind"], ["pandas_na"], difference=NA),
    table("returns", "raises for what it does not know", ["kind"], ["never heard of"]),
]

_X = ["x"]
_PARAMS = [
    table("factor", "the default", _X, [2.0]),
    table("factor", "a param", _X, [2.0], params={"factor": 3}),
    table("factor", "a param that is unknown", _X, [2.0], params={"factr": 3}),
    table("factor", "a param of a wrong type", _X, [2.0], params={"factor": "3"}),
    table("factor", "a param that is null", _X, [2.0], params={"factor": None}),
    table("factor", "params that are null", _X, [2.0], params=None),
    table("factor", "params that are a list", _X, [2.0], params=[1]),
    Case("factor", "a param in AutoML v2", {"Inputs": {"data": [{"x": 2.0}]}, "GlobalParameters": {"factor": 3}},
         {"dataframe_records": [{"x": 2.0}], "params": {"factor": 3}}),
    *(
        table("params", f"params {given!r}", _X, [2.0], params=given)
        for given in (
            {}, {"factor": 1}, {"factor": 1.5}, {"factor": True}, {"count": 5}, {"count": 1.5}, {"count": "5"}, {"count": True},
            {"small": 7}, {"name": "x"}, {"name": 5}, {"on": True}, {"on": 1}, {"when": "2026-05-05"},
            {"when": "2026-05-05T10:00:00"}, {"when": "x"}, {"when": 5}, {"list": [3, 4]}, {"list": 5}, {"list": ["x"]},
            {"list": []},
            {"object": {"k": "w"}}, {"object": {"q": 1}}, {"object": 5}, {"factor": [1]}, {"count": 2, "name": "z"},
        )
    ),
    table("params", "a long param beyond 64 bits", _X, [2.0], params={"count": 10**19}, difference=SILENT),
    table("params", "an integer param beyond 32 bits", _X, [2.0], params={"small": 1 << 31}, difference=SILENT),
    table("method_param", "a param of the model that is named method", _X, [2.0], params={"method": "mine"}),
    table("echo_double", "params for a model that has none", ["a"], [1.5], params={"factor": 3}),
    given("hinted", "type hints", ["a", "b"]),
    given("hinted", "type hints that are not met", [1]),
    given("hinted", "type hints, a table", {"columns": ["a"], "data": [["x"]]}),
    table("strict", "a value that it takes", _X, [5.0]),
    table("strict", "a value that it refuses", _X, [500.0]),
    table("old_style", "a predict without params", ["a", "b"], [1, 2]),
    table("old_style", "a predict without params, given some", ["a", "b"], [1, 2], params={"p": 1}),
]  # fmt: skip

_WIDE = ["age", "balance", "note", "share"]
_PERSON = ["age", "balance", "job"]
_FLAVORS = [
    table("sk_pipeline", "a row", _PERSON, [70, 12.5, "cook"]),
    table("sk_pipeline", "rows", _PERSON, *([age, age * 1.5, "nurse"] for age in range(20, 60))),
    records("sk_pipeline", "records", {"age": 30, "balance": -5.0, "job": "admin"}),
    table("sk_pipeline", "a category that it does not know", _PERSON, [70, 12.5, "pilot"]),
    table("sk_pipeline", "null in age", _PERSON, [None, 12.5, "cook"]),
    table("sk_pipeline", "null in balance", _PERSON, [70, None, "cook"]),
    table("sk_pipeline", "null in job", _PERSON, [70, 12.5, None]),
    table("sk_pipeline", "no rows", _PERSON),
    table("sk_pipeline", "10**19 in age", _PERSON, [10**19, 12.5, "cook"], difference=SILENT),
    table("sk_pipeline", "1.5 in age", _PERSON, [1.5, 12.5, "cook"], difference=SILENT),
    table("sk_pipeline", "-10**19 in age", _PERSON, [-(10**19), 12.5, "cook"]),
    table("sk_pipeline", "true in age", _PERSON, [True, 12.5, "cook"]),
    table("sk_pipeline", "numbers as text", _PERSON, ["70", "12.5", "cook"]),
    table("sk_pipeline", "empty text in age", _PERSON, ["", 12.5, "cook"]),
    table("sk_pipeline", "a number in job", _PERSON, [70, 12.5, 5]),
    table("sk_pipeline", "a column too few", _PERSON[:2], [70, 12.5]),
    table("sk_pipeline", "10**19 in balance", _PERSON, [70, 10**19, "cook"]),
    table("sk_regression", "a row", ["age", "balance"], [70, 12.5]),
    table("sk_regression", "null", ["age", "balance"], [70, None]),
    given("sk_tensor", "an array", [[70.0, 12.5], [20.0, 1.0]]),
    given("sk_tensor", "an array of a wrong width", [[70.0]]),
    given("sk_bare", "no signature, an array", [[70.0, 12.5]]),
    given("sk_bare", "no signature, a wrong width", [[70.0]]),
    table("sk_bare", "no signature, a table", ["p", "q"], [70.0, 12.5]),
    table("lgb_booster", "a row", ["age", "balance"], [70, 12.5]),
    table("lgb_booster", "null", ["age", "balance"], [None, 12.5]),
    table("lgb_classifier", "a row", ["age", "balance"], [70, 12.5], [20, 1]),
    *(
        case
        for model in ("sk_isolation", "sk_one_class")
        for case in (
            table(model, "rows", _WIDE, [50, 0, "a", 0.5], [5, 0, "b", 0.5], [50, 900, "a", 0.5], [1e5, -1e5, "a", 0.5]),
            table(model, "null in the columns that are dropped", _WIDE, [50, 0, None, None]),
            table(model, "null in age", _WIDE, [None, 0, "a", 0.5]),
            table(model, "1e300 in age", _WIDE, [1e300, 0, "a", 0.5]),
            table(model, "a text in balance", _WIDE, [50, "many", "a", 0.5]),
            table(model, "a float beyond 32 bits in a column that is dropped", _WIDE, [50, 0, "a", 1e39], difference=SILENT),
        )
    ),
    table("lgb_single", "rows", ["age", "balance"], [70, 12.5], [20, 1], [None, None]),
    table("lgb_single", "a float beyond 32 bits", ["age", "balance"], [1e39, 12.5], difference=SILENT),
    table("lgb_single", "the largest float of 32 bits", ["age", "balance"], [3.4028234e38, 12.5]),
    table("shift_1", "code of the first version", _X, [5]),
    table("shift_2", "code of the second version", _X, [5]),
]

CASES: tuple[Case, ...] = (*_KINDS, *_TABLES, *_NESTED, *_TENSORS, *_RESULTS, *_PARAMS, *_FLAVORS)
