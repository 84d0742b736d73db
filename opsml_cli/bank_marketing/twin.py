"""Draw the synthetic twin of the bank-marketing table: ancestral sampling from the fitted tables of `twin.json`.

The tables form a chain of nodes. A node sets one or more columns at once, given columns drawn before it:
- `values` node: one of a list of value tuples, by weights that depend on the parents' values;
- `quantiles` node: a whole number, by a quantile function (with its probabilities) that depends on the parents' values.
Columns whose name starts with `_` are bookkeeping (the month of the campaign, a band of ages) and are not written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROWS = 32_950  # as many as the real table has
SEED = 20_141  # gives every value of the real table's categories at least once


def tables() -> dict[str, Any]:
    """The fitted figures that come with the package."""
    import json
    from importlib.resources import files

    found: dict[str, Any] = json.loads(files(__package__).joinpath("twin.json").read_text("utf-8"))
    return found


def draw(fitted: Mapping[str, Any], rows: int, seed: int) -> dict[str, list[object]]:
    """`rows` rows by column, in the real table's column order; the same for the same `seed`."""
    import numpy as np

    random = np.random.default_rng(seed)
    drawn: dict[str, NDArray[np.object_]] = {}
    for node in fitted["nodes"]:
        contexts = _contexts([drawn[name] for name in node["given"]], rows)
        columns = [np.empty(rows, dtype=object) for _ in node["sets"]]
        for context, members in contexts.items():
            for column, values in zip(columns, _draw_node(node, context, len(members), random), strict=True):
                column[members] = values
        drawn.update(zip(node["sets"], columns, strict=True))
        for name, derived in node.get("derive", {}).items():
            drawn[name] = _derive(drawn[derived["from"]], derived)
    return {name: drawn[name].tolist() for name in fitted["columns"]}


def write_twin(path: Path, rows: int = ROWS, seed: int = SEED) -> None:
    """Write the twin as CSV with a header; quick (under a second for the default size)."""
    import csv

    fitted = tables()
    columns = draw(fitted, rows, seed)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _contexts(parents: Sequence[NDArray[np.object_]], rows: int) -> dict[str, NDArray[np.intp]]:
    """The rows that share the parents' values, by those values joined with `|`; one group when there is no parent."""
    import numpy as np

    if not parents:
        return {"": np.arange(rows)}
    keys = np.array(["|".join(map(str, values)) for values in zip(*parents, strict=True)])
    names, member_of = np.unique(keys, return_inverse=True)
    return {str(name): np.flatnonzero(member_of == index) for index, name in enumerate(names)}


def _draw_node(
    node: Mapping[str, Any], context: str, count: int, random: np.random.Generator
) -> list[NDArray[np.object_]] | list[NDArray[np.int_]]:
    import numpy as np

    if "quantiles" in node:
        # Between two fitted quantiles every value is equally likely.
        curve = node["quantiles"].get(context) or node["quantiles"][node["default"]]
        return [np.rint(np.interp(random.random(count), node["probabilities"], curve)).astype(int)]
    weights = np.asarray(node["weights"].get(context) or node["weights"][node["default"]], dtype=float)
    choice = random.choice(len(weights), size=count, p=weights / weights.sum())
    values = node["values"]
    return [np.array([value[position] for value in values], dtype=object)[choice] for position in range(len(node["sets"]))]


def _derive(source: NDArray[np.object_], derived: Mapping[str, Any]) -> NDArray[np.object_]:
    import numpy as np

    return np.searchsorted(derived["edges"], source.astype(float), side="right").astype(object)
