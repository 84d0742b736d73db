"""What of Azure's wire is emulated, as a page made from the routes themselves."""

from __future__ import annotations

from collections.abc import Iterator

from opsml_cli.emulator.faults import KINDS
from opsml_cli.emulator.routing import routes_by_module
from opsml_cli.emulator.wire import Route

_WORDS = {"emulated": "emulated", "ignored": "accepted without effect", "refused": "501"}
_ACCESS = {"read": "role", "write": "role", "scoring": "key or token", "sas": "signed URL", "open": "none"}


def lines() -> Iterator[str]:
    """Markdown: the routes of each module, then how many there are of each kind."""
    counts = dict.fromkeys(_WORDS, 0)
    for title, routes in routes_by_module():
        yield from ("", f"## {title}", "", "| | path | needs | | |", "|---|---|---|---|---|")
        for route in sorted(routes, key=lambda each: (each.template, each.method)):
            counts[route.coverage] += 1
            yield _row(route)
    total = sum(counts.values())
    yield from (
        "",
        f"{total} operations: {counts['emulated']} emulated, {counts['ignored']} accepted without effect, "
        f"{counts['refused']} that answer 501. Whatever else Azure has answers 501 too, and names itself.",
    )
    yield from (
        "",
        "## Faults for `--inject`",
        "",
        ", ".join(f"`{kind}`" for kind in KINDS) + ": see [the guide](../emulator.md).",
    )


def _row(route: Route) -> str:
    note = route.note.replace("|", "\\|")
    return f"| {route.method} | `{route.template}` | {_ACCESS[route.access]} | {_WORDS[route.coverage]} | {note} |"
