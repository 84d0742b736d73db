"""From a request's line to the route that answers it."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from opsml_cli.emulator.operations import Watch
from opsml_cli.emulator.wire import Route

WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{resource_group}"
    "/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
)
_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")


@dataclass(frozen=True, slots=True)
class Match:
    """The route, and its parameters percent-decoded. Those of `{ws}` are `subscription`, `resource_group`, `workspace`."""

    route: Route
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """What is known of a request before its body: `path` still percent-encoded, `token` the bearer token; `match` the route,
    or the methods that the path has."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    token: bytes | None
    match: Match | frozenset[str]
    correlation: str


class Table:
    """Every route. Of two that fit a path, the one with more literal text answers."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(sorted(routes, key=lambda route: -len(_PARAMETER.sub("", full(route.template)))))
        self._patterns = [(route, _pattern(route.template)) for route in self.routes]

    def find(self, method: str, path: str) -> Match | frozenset[str]:
        """The match for a raw (still encoded) path; else the methods that the path has, none for an unknown path."""
        methods = set()
        for route, pattern in self._patterns:
            found = pattern.match(path)
            if found is None:
                continue
            if route.method == method:
                return Match(route, {name: unquote(text) for name, text in found.groupdict().items()})
            methods.add(route.method)
        return frozenset(methods)


def full(template: str) -> str:
    """The template with `{ws}` written out."""
    return template.replace("{ws}", WORKSPACE)


def _pattern(template: str) -> re.Pattern[str]:
    parts, last = [], 0
    text = full(template)
    for found in _PARAMETER.finditer(text):
        parts.append(re.escape(text[last : found.start()]))
        parts.append(f"(?P<{found[1]}>{'.*' if found[2] else '[^/]+'})")
        last = found.end()
    parts.append(re.escape(text[last:]))
    return re.compile("".join(parts) + r"/?\Z", re.IGNORECASE)


@cache
def every_route() -> tuple[Route, ...]:
    """The routes of every module of `routes/`."""
    return tuple(route for module in _modules() for route in getattr(module, "ROUTES", ()))


@cache
def every_watch() -> Mapping[str, Watch]:
    """The watches of every module of `routes/`, by name."""
    return {name: watch for module in _modules() for name, watch in getattr(module, "WATCHES", {}).items()}


def routes_by_module() -> list[tuple[str, tuple[Route, ...]]]:
    """The first sentence of each module that has routes, and its routes."""
    found = []
    for module in _modules():
        routes = getattr(module, "ROUTES", ())
        if routes:
            title = " ".join((module.__doc__ or "").partition("\n\n")[0].split())
            found.append((title.partition(". ")[0].rstrip("."), tuple(routes)))
    return found


@cache
def _modules() -> tuple[object, ...]:
    from opsml_cli.emulator import routes

    found = sorted(each.name for each in pkgutil.iter_modules(routes.__path__))
    return tuple(importlib.import_module(f"{routes.__name__}.{name}") for name in found)
