"""YAML files that people write (job.yml, pipeline.yml, MLTable), read with limits and with the line of every value.

Safe against hostile files: no tags but YAML's own, and limits on size, depth and the number of nodes with aliases
expanded. Of YAML 1.1's surprises none: only `true` and `false` are booleans, and dates, `010` and `1:30` stay text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.domain.fields import FieldError, Where

MAX_BYTES = 1_000_000
MAX_DEPTH = 40
MAX_NODES = 20_000

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z", re.ASCII)
_TAG = "tag:yaml.org,2002:"
_TAGS = ("map", "seq", "str", "null", "bool", "int", "float", "timestamp", "value", "merge")

_DEFAULTS = ("default", "value")
_TEXTS = tuple(_TAG + kind for kind in ("str", "bool", "int", "float", "timestamp"))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document: plain dicts, lists and scalars in `value`; `lines` (from 1) by path of keys and positions.
    `source` is how errors name it; relative paths inside it start from `folder`."""

    value: object
    source: str
    folder: Path
    lines: Mapping[Where, int] = field(default_factory=dict, repr=False)

    def line(self, where: Where) -> int | None:
        """The line of the value at `where`, or of the nearest thing around it that has one."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where)

    def error(self, where: Where, message: str, cause: str | None = None) -> InvalidInputError:
        """An error that names file and line."""
        line = self.line(where)
        place = self.source if line is None else f"{self.source}, line {line}"
        return InvalidInputError(f"{place}: {message}", cause=cause, fix=f"correct {self.source} and run the command again")

    def read(self, reader: Callable[[object], T]) -> T:
        """What `reader` makes of the value; its FieldError becomes an error with file and line."""
        try:
            return reader(self.value)
        except FieldError as problem:
            raise self.error(problem.where, problem.message, problem.cause) from problem


def read_document(path: Path, *, source: str | None = None) -> Document:
    """Read the YAML (or JSON) file at `path`. NotFoundError when it is missing; InvalidInputError with the line when it
    is no sound YAML, is too large or too deep."""
    name = source or str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFoundError(f"no file {name}", fix="check the path") from None
    except OSError as error:
        raise InvalidInputError(f"{name} cannot be read: {error.strerror}") from error
    return parse_document(content, source=name, folder=path.absolute().parent)


def parse_document(content: bytes | str, *, source: str, folder: Path) -> Document:
    """As `read_document`, for content at hand."""
    if len(content) > MAX_BYTES:
        raise InvalidInputError(f"{source} is larger than {MAX_BYTES // 1_000_000} MB: no job or pipeline is")
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{source} is not UTF-8 text (byte {error.start})", fix="save it as UTF-8") from error
    import yaml

    try:
        _check_depth(text, source)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        raise InvalidInputError(f"{source}{line}: no sound YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise InvalidInputError(f"{source}: no sound YAML: {' '.join(str(error).split())}") from error
    builder = _Builder(source)
    value = None if node is None else builder.build(node, ())
    return Document(value, source, folder, builder.lines)


def _check_depth(text: str, source: str) -> None:
    """PyYAML's composer recurses; its parser does not, so depth is looked at there first."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise InvalidInputError(f"{source}, line {line}: nested more than {MAX_DEPTH} levels deep")


def _plain(node: object) -> str | None:
    import yaml

    return str(node.value) if isinstance(node, yaml.ScalarNode) else None


class _Builder:
    """Turns PyYAML's nodes into plain values and notes their lines."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines: dict[Where, int] = {}
        self.nodes = 0

    def build(self, node: object, where: Where) -> object:
        import yaml

        assert isinstance(node, yaml.Node)
        line = node.start_mark.line + 1
        self.nodes += 1
        # Aliases are followed each time they are used, so both limits hold for what they expand to.
        if self.nodes > MAX_NODES or len(where) > MAX_DEPTH:
            raise InvalidInputError(f"{self.source}, line {line}: too much content (aliases expand without end?)")
        self.lines.setdefault(where, line)
        if node.tag.removeprefix(_TAG) not in _TAGS:
            raise InvalidInputError(f"{self.source}, line {line}: unknown tag {node.tag!r}")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*where, position)) for position, item in enumerate(node.value)]
        return self._scalar(node, line)

    def _mapping(self, node: object, where: Where) -> dict[str, object]:
        import yaml

        assert isinstance(node, yaml.MappingNode)
        result: dict[str, object] = {}
        # What a port of type string holds is text as it is written: 1e3, 1.10 and true too.
        written = _DEFAULTS if any(_plain(key) == "type" and _plain(value) == "string" for key, value in node.value) else ()
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _TAG + "merge":
                raise InvalidInputError(f"{self.source}, line {line}: a key must be plain text")
            key = self._text(key_node.value, line)
            if key in result:
                raise InvalidInputError(f"{self.source}, line {line}: the key {key!r} is there twice")
            self.lines[(*where, key)] = line
            if key in written and isinstance(value_node, yaml.ScalarNode) and value_node.tag in _TEXTS:
                value_node = yaml.ScalarNode(  # noqa: PLW2901 - the same value, as text
                    _TAG + "str", value_node.value, value_node.start_mark, value_node.end_mark, style="'"
                )
            result[key] = self.build(value_node, (*where, key))
        return result

    def _scalar(self, node: object, line: int) -> object:
        import yaml

        assert isinstance(node, yaml.ScalarNode)
        kind, text = node.tag.removeprefix(_TAG), self._text(str(node.value), line)
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind in ("int", "float", "str") and node.style is None:
            if _INTEGER.match(text) and len(text) <= 300:
                return int(text)
            if _FLOAT.match(text) and not (len(text) > 1 and text.lstrip("+-")[0] == "0" and text.lstrip("+-").isdigit()):
                return float(text)
        return text

    def _text(self, text: str, line: int) -> str:
        """JSON writes a character beyond U+FFFF as two escapes, which YAML takes for two characters."""
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"{self.source}, line {line}: half a character") from error
