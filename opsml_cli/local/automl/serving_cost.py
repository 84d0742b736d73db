"""What a member costs when it is served, as a share of what a served model may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.local.automl.refit import MORE_ROUNDS

if TYPE_CHECKING:
    from opsml_cli.local.automl.model_folder import Part
    from opsml_cli.local.automl.trials import Result

# One row's microseconds through LightGBM's C call, and a booster's text on disk. A tree's time grows with the square root of
# its leaves or so (measured from 4 to 63 leaves: 0.026 to 0.12; benchmarks/automl.py --set served holds the limit).
_TREE_OF_ONE_LEAF = 0.0125
_LEAVES_POWER = 0.55
_LINEAR_LEAVES = 1.3  # times as long
_BOOSTER = 2.0
_LINEAR = 40.0
_CELL = 0.003  # of a kernel: a number of a landmark
_MOST = 400.0
_MOST_OF_FEW = 900.0  # where the rows are few, more members are worth their time
_MOST_TIMES = 4  # as much for three classes and more, each of which has its own trees
_AT_ONCE = 0.6  # of many rows at once, for each (measured: 0.47 and 0.66)
_BYTE = 3e-8  # seconds (measured: 2.9 of 96 MB)
_MOST_BYTES = 25_000_000


def share(result: Result, *, few: bool) -> float:
    """The larger of time and size, 1 for all that is allowed; `few`: the rows were few (see ensemble.few_to_tell)."""
    outputs = result.part.outputs
    most = (_MOST_OF_FEW if few else _MOST) * (min(outputs, _MOST_TIMES) if outputs > 2 else 1)
    size = sum(len(text) for text in result.part.boosters)
    return max(MORE_ROUNDS * microseconds(result.part) / most, size / _MOST_BYTES)


def microseconds(part: Part) -> float:
    """What one row takes, about."""
    trees = 0.0
    for text in part.boosters:
        slower = _LINEAR_LEAVES if linear_leaves(text) else 1.0
        trees += slower * _TREE_OF_ONE_LEAF * sum(count**_LEAVES_POWER for count in leaves(text))
    near = sum(_CELL * float(arrays["points"].size + arrays["codes"].size) for arrays in part.linear if "points" in arrays)
    return _LINEAR * len(part.linear) + _BOOSTER * len(part.boosters) + trees + near


def seconds(part: Part, rows: int) -> float:
    """What writing the part, reading it as often as its proof does, and answering `rows` at once take, about."""
    size = sum(len(text) for text in part.boosters)
    return _AT_ONCE * rows * microseconds(part) / 1e6 + _BYTE * size


def leaves(text: str) -> list[int]:
    """Of each tree of a booster's text."""
    # Texts are megabytes: splitting them is many times faster than a regular expression.
    return [int(rest[: rest.index("\n")]) for rest in text.split("\nnum_leaves=")[1:]]


def linear_leaves(text: str) -> bool:
    """Whether a booster's text holds linear models in its leaves."""
    return "\nis_linear=1\n" in text
