"""Which deployment answers a request: the table that the reconciler writes and the application reads."""

from __future__ import annotations

import os
import platform
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.local.serving.facts import COMPILED, IN_PROCESS, PROCESS, ServingFacts
from opsml_cli.local.serving.hosting.group import HostGroup
from opsml_cli.local.serving.scorers import Scorer

if TYPE_CHECKING:
    from opsml_cli.local.serving.many_rows import ManyRows
    from opsml_cli.local.serving.single_row import SingleRow


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """A loaded model or script under a deployment's name, in this process or in hosts. `example` is a body that it answers
    (None: nobody knows one), `seconds` what loading took here, `reason` why a foreign model is not compiled, `single` the
    short way of one row, `many` that of many."""

    deployment: str
    revision: str
    model: str
    version: str
    scorer: Scorer | HostGroup
    example_results: tuple[object, ...] = ()
    example: str | None = None
    seconds: float = 0.0
    single: SingleRow | None = None
    many: ManyRows | None = None
    compiled: bool = False
    reason: str | None = None

    @property
    def title(self) -> bytes:
        """What the model is called in replies; empty for a script without one."""
        return f"{self.model}:{self.version}".encode() if self.model else b""

    def facts(self) -> ServingFacts:
        """How it is served now."""
        if isinstance(self.scorer, HostGroup):
            hosts = self.scorer.facts()
            seconds = max((each.seconds for each in hosts), default=0.0)
            python = next((each.python for each in hosts), "")
            return ServingFacts(PROCESS, tuple(each.pid for each in hosts), seconds, python, self.reason)
        return ServingFacts(COMPILED if self.compiled else IN_PROCESS, (os.getpid(),), self.seconds, platform.python_version())


@dataclass(frozen=True, slots=True)
class Routing:
    """Who answers what; replaced as a whole, so that a request sees one state. `live` by case-folded deployment name,
    `candidates` by revision, `traffic` percent by case-folded name, `mirror` the percent of requests that a deployment gets
    a copy of, `keys` the two secrets, `unrecorded` the deployments whose requests are not recorded."""

    keys: tuple[bytes, ...] = field(default=(), repr=False)
    live: Mapping[str, Live] = field(default_factory=dict)
    candidates: Mapping[str, Live] = field(default_factory=dict)
    traffic: Mapping[str, int] = field(default_factory=dict)
    mirror: Mapping[str, int] = field(default_factory=dict)
    unrecorded: frozenset[str] = frozenset()

    def pick(self) -> Live | None:
        """A deployment by traffic; None when none has any."""
        shares = [(self.live[name], percent) for name, percent in self.traffic.items() if percent and name in self.live]
        if len(shares) < 2:
            return shares[0][0] if shares else None
        point = random.random() * sum(percent for _, percent in shares)  # noqa: S311 - a share of traffic, no secret
        for live, percent in shares:
            point -= percent
            if point < 0:
                return live
        return shares[-1][0]

    def main(self) -> Live | None:
        """The deployment that stands for the endpoint: the one with most traffic."""
        return max(self.live.values(), key=lambda live: self.traffic.get(names.key(live.deployment), 0), default=None)

    def mirrored(self) -> Live | None:
        """Who gets a copy of this request, by chance; None mostly."""
        for name, percent in self.mirror.items():
            if name in self.live and random.random() * 100 < percent:  # noqa: S311 - a share of traffic, no secret
                return self.live[name]
        return None
