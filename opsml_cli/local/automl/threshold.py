"""The decision threshold of a binary model, tuned on out-of-fold probabilities: `f1`, `balanced_accuracy` or `cost:FP,FN`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.fields import did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Aim:
    """What the threshold maximizes; the costs of one false positive and one false negative for `cost`."""

    kind: str
    false_positive: float = 1.0
    false_negative: float = 1.0


def parse(text: str) -> Aim:
    """Read `--threshold-for`; UsageError."""
    word, colon, tail = text.strip().partition(":")
    word = word.casefold()
    if word in ("f1", "balanced_accuracy") and not colon:
        return Aim(word)
    if word == "cost" and colon:
        parts = tail.split(",")
        try:
            costs = [float(part) for part in parts]
        except ValueError:
            costs = []
        if len(costs) == 2 and all(math.isfinite(cost) and cost >= 0 for cost in costs) and sum(costs) > 0:
            return Aim("cost", costs[0], costs[1])
        raise UsageError(
            f"{text!r} has no two costs", cause="expected cost:FP,FN with numbers of at least 0", fix="--threshold-for cost:1,5"
        )
    raise UsageError(
        f"{text!r} is nothing a threshold can be tuned for",
        cause=did_you_mean(word, ("f1", "balanced_accuracy", "cost:FP,FN")),
        fix="--threshold-for f1|balanced_accuracy|cost:FP,FN",
    )


def tune(aim: Aim, positive: NDArray[np.bool_], probability: NDArray[np.float64]) -> float:
    """The threshold in (0, 1) from which on a row counts as positive. `probability` is that of the positive class."""
    import numpy as np

    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    # After each distinct score: everything from the top down to here is called positive.
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    hits = np.cumsum(positive[order])[ends].astype(np.float64)
    called = ends + 1.0
    positives, negatives = float(positive.sum()), float((~positive).sum())
    if aim.kind == "f1":
        gain = 2 * hits / (called + positives)
    elif aim.kind == "balanced_accuracy":
        gain = hits / max(positives, 1.0) - (called - hits) / max(negatives, 1.0)
    else:
        gain = -(aim.false_positive * (called - hits) + aim.false_negative * (positives - hits))
        # Calling nothing positive is a choice too.
        if -aim.false_negative * positives > gain.max():
            return float(min(1.0, (1.0 + ranked[0]) / 2))
    best = int(np.argmax(gain))
    lower = ranked[ends[best] + 1] if ends[best] + 1 < len(ranked) else 0.0
    return float((ranked[ends[best]] + lower) / 2)
