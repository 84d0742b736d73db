"""Columns of free text: which they are, and the projections that make numbers of them.

Two kinds of directions: those in which the texts differ most (latent semantic analysis, without the target), and those of a
linear model of the target. The second are answered out of fold for the rows that they were learned from."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opsml_cli.domain.job import Task
from opsml_cli.local.automl import out_of_fold, scoring
from opsml_cli.local.automl.scoring.text import packed, terms, unpacked, weighted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from opsml_cli.local.automl.encode import Encoding
    from opsml_cli.local.automl.problem import Fold

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LEAST_WORDS = 4.0  # on average; shorter texts are names, codes and categories
LEAST_DISTINCT = 50
_BUCKETS = 8192
_SIZE = 8
_MOST_FITTED = 10_000  # texts that the unsupervised directions are made from
_MOST_LEARNED = 20_000  # rows that one linear model learns from
_MOST_CLASSES = 30
_LOOKED_AT = 2000


def is_text(sizes: Mapping[str, int], rows: int) -> bool:
    """Whether the distinct values (with their counts) are sentences rather than categories."""
    if len(sizes) < max(LEAST_DISTINCT, rows // 20):
        return False
    looked = [text for _, text in zip(range(_LOOKED_AT), sizes, strict=False)]
    return sum(len(text.split()) for text in looked) / len(looked) >= LEAST_WORDS


def document(name: str, values: Iterable[str], example: str, seed: int = 0) -> dict[str, Any]:
    """The column as scoring.Encoder takes it, with unsupervised directions alone. `values`: the texts that are there."""
    import numpy as np

    texts = list(values)
    counted = [terms(text, _BUCKETS) for text in texts[:: max(1, len(texts) // _MOST_FITTED)]]
    rarity = _rarity(counted)
    projection = _projection(counted, rarity, seed)
    return {"name": name, "kind": "text", "type": "string", "categories": None, "minimum": None, "maximum": None,
            "example": example, "buckets": _BUCKETS, "size": projection.shape[1], "learned": 0,
            "rarity": packed(rarity), "projection": packed(projection.astype(np.float32))}  # fmt: skip


def supervise(
    encoding: Encoding,
    matrix: Floats,
    frame: pd.DataFrame,
    target: NDArray[np.generic],
    *,
    task: Task,
    folds: Sequence[Fold],
    seed: int,
) -> tuple[Encoding, Floats]:
    """Add to every text column the directions of a linear model of the target: the encoding for rows to come, and the
    matrix of these rows, in which each is answered by a model that has not seen it. Without text columns, as given."""
    import numpy as np

    wanted = out_of_fold.wanted(target, task, folds, _MOST_CLASSES)
    if wanted is None or not any(column["kind"] == "text" for column in encoding.columns):
        return encoding, matrix
    slices = scoring.Encoder(encoding.columns).slices
    columns, blocks = [], []
    for column, part in zip(encoding.columns, slices, strict=True):
        block = matrix[:, part]
        if column["kind"] == "text":
            table = _table(frame[column["name"]].tolist(), unpacked(column["rarity"]))
            directions, answers = _learned(table, wanted, folds, task, seed)
            size = int(column["size"])
            free = size - int(column["learned"])  # an encoding that is kept from before has learned already
            projection = np.hstack([unpacked(column["projection"]).reshape(_BUCKETS, size)[:, :free], directions])
            column = {  # noqa: PLW2901
                **column, "size": projection.shape[1], "learned": directions.shape[1], "projection": packed(projection)
            }  # fmt: skip
            answers[np.isnan(block[:, -1])] = np.nan
            block = np.hstack([block[:, :free], answers, block[:, size:]])
        columns.append(column)
        blocks.append(block)
    return replace(encoding, columns=tuple(columns)), np.hstack(blocks)


def _learned(table: Any, target: NDArray[np.generic], folds: Sequence[Fold], task: Task, seed: int) -> tuple[Floats, Floats]:
    """(directions (buckets, k) of a model of all rows, answers (rows, k) of models that have not seen the row)."""
    import numpy as np

    labels = None if task is Task.REGRESSION else np.unique(target)
    directions = _directions(table, target, np.arange(len(target)), labels, seed)
    answers = np.asarray(table @ directions)
    for learned, scored in out_of_fold.parts(target, task, folds, seed):
        answers[scored] = table[scored] @ _directions(table, target, learned, labels, seed)
    return directions, answers


def _directions(table: Any, target: NDArray[np.generic], rows: Ints, labels: NDArray[np.generic] | None, seed: int) -> Floats:
    """(buckets, k), as the scorer will read them, in 32 bits: of the values, or of the classes `labels` (of two, the second).
    Classes that the rows lack have zeros."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression, Ridge

    if len(rows) > _MOST_LEARNED:
        rows = np.sort(np.random.default_rng([seed, 179424673]).choice(rows, _MOST_LEARNED, replace=False))
    model = Ridge(1.0, solver="lsqr") if labels is None else LogisticRegression(C=10.0, max_iter=60, tol=1e-3)
    known = np.unique(target[rows])
    if labels is not None and len(known) < 2:
        return np.zeros((table.shape[1], len(labels) if len(labels) > 2 else 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a direction that has not quite settled is as good
        model.fit(table[rows], target[rows])
    found = np.atleast_2d(model.coef_)
    if labels is not None and len(known) < len(labels):
        whole = np.zeros((len(labels), found.shape[1]))
        whole[np.searchsorted(labels, known)] = found if len(known) > 2 else np.vstack([-found, found])
        found = whole
    return found.T.astype(np.float32).astype(np.float64)


def _table(values: Sequence[object], rarity: Floats) -> Any:
    """(rows, buckets), sparse; a missing text is an empty one."""
    return _sparse([{} if scoring.is_missing(value) else terms(str(value), _BUCKETS) for value in values], rarity)


def _sparse(counted: Sequence[Mapping[int, int]], rarity: Floats) -> Any:
    import numpy as np
    from scipy.sparse import csr_matrix

    starts, places, weights = [0], [], []
    for each in counted:
        where, how = weighted(each, rarity)
        places.append(where)
        weights.append(how)
        starts.append(starts[-1] + len(where))
    return csr_matrix((np.concatenate(weights), np.concatenate(places), starts), shape=(len(counted), _BUCKETS))


def _rarity(counted: Sequence[Mapping[int, int]]) -> Floats:
    """(buckets,): one plus the logarithm of how seldom each is met."""
    import numpy as np

    met = np.zeros(_BUCKETS)
    for each in counted:
        met[list(each)] += 1
    return (np.log((1 + len(counted)) / (1 + met)) + 1).astype(np.float32).astype(np.float64)


def _projection(counted: Sequence[Mapping[int, int]], rarity: Floats, seed: int) -> Floats:
    """(buckets, size): the directions in which the texts differ most."""
    import numpy as np
    from sklearn.decomposition import TruncatedSVD

    table = _sparse(counted, rarity)
    size = min(_SIZE, max(1, min(len(counted), len(np.unique(table.indices))) - 1))
    found: Floats = TruncatedSVD(size, random_state=seed).fit(table).components_.T
    return found
