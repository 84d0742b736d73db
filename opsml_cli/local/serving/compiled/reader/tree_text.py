"""Decision trees of any library as LightGBM's text, whose C library walks them fast.

LightGBM compares float64 with `<=`; the readers give thresholds for which that is the original's own comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_MISSING_NAN = 2 << 2
_DEFAULT_LEFT = 2
_CATEGORICAL = 1


@dataclass(slots=True)
class Tree:
    """Arrays over the nodes; node 0 is the root, `left` is -1 in leaves. `value` of the leaves is added up. `categories`: for
    nodes that split by category, the codes that go left."""

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray
    categories: dict[int, Sequence[int]] = field(default_factory=dict)

    @property
    def leaves(self) -> np.ndarray:
        """The nodes that are leaves, in the order of their numbers in the text."""
        return np.flatnonzero(self.left < 0)


def constant(value: float) -> Tree:
    none = np.array([-1])
    return Tree(none, none, np.zeros(1, int), np.zeros(1), np.zeros(1, bool), np.array([value]))


def _joined(values: Any) -> str:
    return " ".join(map(repr, values.tolist())) if isinstance(values, np.ndarray) else " ".join(map(str, values))


def _tree_text(index: int, tree: Tree) -> str:
    leaf = tree.left < 0
    count = int(leaf.sum())
    if count == 1:
        value = repr(float(tree.value[leaf][0]))
        return f"Tree={index}\nnum_leaves=1\nnum_cat=0\nleaf_value={value}\nis_linear=0\nshrinkage=1\n\n\n"
    inner = ~leaf
    inner_number, leaf_number = np.cumsum(inner) - 1, np.cumsum(leaf) - 1
    target = np.where(leaf, ~leaf_number, inner_number)
    kinds = np.full(int(inner.sum()), _MISSING_NAN) + _DEFAULT_LEFT * tree.missing_left[inner].astype(int)
    thresholds: Any = tree.threshold[inner].astype(np.float64)
    category_lines = ""
    if tree.categories:
        boundaries, words = [0], []
        thresholds = thresholds.copy()
        for place, (node, codes) in enumerate(sorted(tree.categories.items())):
            kinds[inner_number[node]] = _CATEGORICAL
            thresholds[inner_number[node]] = float(place)
            bits = [0] * (max(codes, default=0) // 32 + 1)
            for code in codes:
                bits[code // 32] |= 1 << (code % 32)
            words += bits
            boundaries.append(len(words))
        category_lines = f"cat_boundaries={_joined(boundaries)}\ncat_threshold={_joined(words)}\n"
    zeros = " ".join(["0"] * (count - 1))
    more = zeros + " 0"
    return (
        f"Tree={index}\nnum_leaves={count}\nnum_cat={len(tree.categories)}\n"
        f"split_feature={_joined(tree.feature[inner].astype(int))}\nsplit_gain={zeros}\n"
        f"threshold={_joined(thresholds)}\ndecision_type={_joined(kinds)}\n"
        f"left_child={_joined(target[tree.left[inner]])}\nright_child={_joined(target[tree.right[inner]])}\n"
        f"leaf_value={_joined(tree.value[leaf].astype(np.float64))}\nleaf_weight={more}\nleaf_count={more}\n"
        f"internal_value={zeros}\ninternal_weight={zeros}\ninternal_count={zeros}\n"
        f"{category_lines}is_linear=0\nshrinkage=1\n\n\n"
    )


def lightgbm_text(trees: Sequence[Tree], width: int, outputs: int = 1) -> str:
    """A model that adds up the trees; with several outputs tree i counts for output i % outputs."""
    parts = [_tree_text(index, tree) for index, tree in enumerate(trees)]
    head = (
        "tree\nversion=v4\n"
        f"num_class={outputs}\nnum_tree_per_iteration={outputs}\nlabel_index=0\nmax_feature_idx={width - 1}\n"
        f"feature_names={' '.join(f'f{place}' for place in range(width))}\n"
        f"feature_infos={' '.join(['[-1:1]'] * width)}\n"
        f"tree_sizes={' '.join(str(len(part)) for part in parts)}\n\n"
    )
    return head + "".join(parts) + "end of trees\n"
