"""Plans of --dry-run, as a person reads them."""

from __future__ import annotations

from opsml_cli.cli.render.planned import RENDERINGS
from opsml_cli.cli.result import Planned


def test_a_plan_is_words() -> None:
    details: dict[str, object] = {
        "model": None,
        "traffic": {"blue": 75, "green": 25},
        "insights": False,
        "unchanged": False,
        "steps": ["train", "deploy"],
        "inputs": {"rows": 5, "fast": True, "left_out": None},
        "deployments": [],
        "tags": {},
    }
    assert RENDERINGS[Planned].view(Planned("deploy", "bank/green", details), 80).splitlines() == [
        "would deploy bank/green",
        "  traffic: blue 75 %, green 25 %",
        "  insights: off",
        "  unchanged: no",
        "  steps: train, deploy",
        "  inputs: rows=5, fast=yes",
        "  deployments: none",
        "  tags: none",
    ]
