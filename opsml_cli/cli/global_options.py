"""The global options: real, hidden, optional parameters of every command, so that they work before and after it."""

from __future__ import annotations

from collections import namedtuple

FORMATS = ("table", "json", "jsonl", "tsv", "yaml", "none")

# `name`: the parameter's name, with a prefix that no command uses; `flags`: its spellings; `takes`: the metavar of its
# value, None for a switch.
GlobalOption = namedtuple("GlobalOption", ("name", "flags", "takes", "help"))

PREFIX = "global_"
OPTIONS = (
    GlobalOption("global_workspace", ("--workspace", "-w"), "NAME", "The workspace to act on: local, azure, or a named one."),
    GlobalOption("global_output", ("--output", "-o"), "FORMAT", f"How results are printed: {', '.join(FORMATS)}."),
    GlobalOption("global_query", ("--query",), "JMESPATH", "Print this part of the result (json, yaml and tsv)."),
    GlobalOption("global_debug", ("--debug",), None, "Write a log file and say where it is."),
    GlobalOption("global_no_color", ("--no-color",), None, "No colours."),
    GlobalOption("global_no_input", ("--no-input",), None, "Never ask; a missing value is an error."),
    GlobalOption("global_quiet", ("--quiet", "-q"), None, "No progress, notes or hints on stderr; errors remain."),
)


class Globals:
    """Their values. Innermost given wins; a switch given anywhere holds."""

    __slots__ = ("debug", "no_color", "no_input", "output", "query", "quiet", "workspace")

    def __init__(self) -> None:
        self.workspace: str | None = None
        self.output: str | None = None
        self.query: str | None = None
        self.debug = False
        self.no_color = False
        self.no_input = False
        self.quiet = False

    def take(self, params: dict[str, object]) -> None:
        """Lay the values that one level of the command line gave over these."""
        for option in OPTIONS:
            value = params.get(option.name)
            if value is not None and value is not False:
                setattr(self, option.name.removeprefix(PREFIX), value)

    @property
    def format(self) -> str:
        return self.output or "table"


def scan(arguments: list[str], values_of: object = None) -> Globals:
    """The global options in `arguments` that no parser could read whole, for telling how an error is to be printed.

    Follows the words as the parser would: what follows an option that takes a value is that value, and `--` ends it.
    `values_of(words)` gives the value-taking flags of the command at `words`."""
    from opsml_cli.cli.table import BY_PATH, GROUPS

    takes = {flag: option for option in OPTIONS if option.takes for flag in option.flags}
    found = Globals()
    words: list[str] = []
    others: frozenset[str] = frozenset()
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        flag, equals, value = word.partition("=")
        if word in others:
            rest[:1] = []
        elif flag in takes and (equals or word in takes):
            given = value if equals else (rest.pop(0) if rest else None)
            found.take({takes[flag].name: given})
        elif word[:2] in takes and len(word) > 2 and word[0] == "-" and word[1] != "-":
            found.take({takes[word[:2]].name: word[2:]})
        elif not word.startswith("-") and " ".join(words) not in BY_PATH:
            words.append(word)
            path = " ".join(words)
            if path in BY_PATH and callable(values_of):
                others = values_of(path)
            elif path not in GROUPS and path not in BY_PATH:
                words.pop()
        else:
            for option in OPTIONS:
                if not option.takes and word in option.flags:
                    found.take({option.name: True})
    return found
