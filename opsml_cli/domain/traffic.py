"""The rules of an endpoint's traffic: percent by deployment."""

from __future__ import annotations

from collections.abc import Mapping

from opsml_cli.domain import names


def shared_out(traffic: Mapping[str, int], name: str, share: int) -> dict[str, int]:
    """`traffic` when `name` gets `share` percent: the others keep their proportions, in whole numbers that add up. With nobody
    to share with it gets all, or none when `share` is 0."""
    others = {each: percent for each, percent in traffic.items() if names.key(each) != names.key(name)}
    total = sum(others.values())
    if not total:
        return {**others, name: 100 if share else 0}
    rest = 100 - share
    exact = {each: percent * rest / total for each, percent in others.items()}
    rounded = {each: int(value) for each, value in exact.items()}
    for each in sorted(exact, key=lambda key: rounded[key] - exact[key])[: rest - sum(rounded.values())]:
        rounded[each] += 1
    return {**rounded, name: share}
