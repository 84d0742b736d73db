"""Values as JSON, YAML, tab-separated lines and plain tables. Pure: texts come out, nothing is written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from opsml_cli.cli import text as texts


def plain(value: Any) -> Any:  # noqa: PLR0911 - a table of cases
    """`value` as JSON has it: mappings with text keys, lists, texts, numbers, booleans, None. Not-a-number becomes None."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)  # a StrEnum becomes its text
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return plain(value.item())  # a numpy scalar
    return str(value)


def to_json(value: Any, *, indent: int | None, ascii_only: bool) -> str:
    """One JSON document, without a line break at its end. `value` is plain."""
    if indent and not ascii_only:
        import orjson

        # Python's own encoder is slow with an indent: a leaderboard of 200 trials takes longer than all of Typer.
        try:
            return texts.escape_json(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
        except TypeError:
            pass  # integers beyond 64 bits, or lone surrogates
    separators = None if indent else (",", ":")
    return texts.escape_json(json.dumps(value, indent=indent, ensure_ascii=ascii_only, allow_nan=False, separators=separators))


def to_yaml(value: Any) -> str:
    """One YAML document. `value` is plain."""
    import yaml

    class Dumper(yaml.SafeDumper):
        pass

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        # Double quotes keep control characters, line breaks and CI commands inside one escaped line.
        risky = texts.escape_line(text) != text or texts.defuse(text) != text or not text.isascii()
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if risky else None)

    Dumper.add_representer(str, represent)
    Dumper.ignore_aliases = lambda *_: True  # type: ignore[method-assign]
    dumped: str = yaml.dump(value, Dumper=Dumper, allow_unicode=False, sort_keys=False, width=2**31)
    return dumped.removesuffix("...\n")


def cell(value: Any) -> str:
    """One value in a tsv or table cell: nested values are compact JSON, None is nothing, all of it one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return to_json(value, indent=None, ascii_only=False)
    return texts.escape_line(str(value))


def to_rows(value: Any, columns: Sequence[str] = ()) -> list[list[str]]:
    """The tsv rows of a plain value: a list gives a row an item, a mapping one row, anything else one cell."""
    if isinstance(value, list):
        if not value:
            return []
        names = list(columns) or (list(value[0]) if isinstance(value[0], dict) else [])
        return [row for item in value for row in _rows_of_item(item, names)]
    return _rows_of_item(value, list(columns))


def _rows_of_item(item: Any, names: Sequence[str]) -> list[list[str]]:
    if isinstance(item, dict):
        return [[cell(item.get(name)) for name in (names or item)]]
    if isinstance(item, list):
        return [[cell(part) for part in item]]
    return [[cell(item)]]


def to_tsv(rows: Sequence[Sequence[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def to_table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> str:
    """Aligned columns below a header. `width` None: as wide as it comes; otherwise the widest columns are shortened."""
    lines = [[name.replace("_", " ").upper() for name in header], *[list(row) for row in rows]]
    widths = [max(texts.cells(line[i]) for line in lines) for i in range(len(header))]
    if width is not None:
        _shrink(widths, width - 2 * (len(widths) - 1))
        lines = [[texts.shorten(part, widths[i]) for i, part in enumerate(line)] for line in lines]
    padded = ("  ".join(part + " " * (widths[i] - texts.cells(part)) for i, part in enumerate(line)).rstrip() for line in lines)
    return "".join(f"{line}\n" for line in padded)


def _shrink(widths: list[int], room: int) -> None:
    """Take columns from the widest until they fit, but leave each at least 8."""
    while sum(widths) > room and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1


def to_fields(document: Mapping[str, Any], width: int | None) -> str:
    """`name  value` lines of a document."""
    longest = max((len(name) for name in document), default=0)
    lines = []
    for name, value in document.items():
        line = f"{name.replace('_', ' '):<{longest}}  {cell(value)}".rstrip()
        lines.append(line if width is None else texts.shorten(line, width))
    return "".join(f"{line}\n" for line in lines)
