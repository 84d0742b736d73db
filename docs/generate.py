"""Write the pages that are made from the code, or check that they agree with it.

python -m docs.generate            write them
python -m docs.generate --check    exit 1 and name the pages that differ
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from opsml_cli.cli import table
from opsml_cli.cli.loader import load
from opsml_cli.domain import errors
from opsml_cli.settings import NOT_IN_PROJECT_FILE, USER_ONLY, environment_variables

ROOT = Path(__file__).parents[1]
_MADE = "<!-- Made from the code by `python -m docs.generate`; edit the code instead. -->"


def commands() -> str:
    """Every command with its arguments and options."""
    lines = ["# Commands", "", _MADE, "", "Global options work before and after every command:", ""]
    from opsml_cli.cli.global_options import OPTIONS

    lines += ["| option | meaning |", "|---|---|"]
    lines += [
        f"| `{', '.join(flags)}{f' {takes}' if takes else ''}` | {_cell(text)} |" for _name, flags, takes, text in OPTIONS
    ]
    for entry in table.COMMANDS:
        command = load(entry)
        lines += ["", f"## opsml {entry.path}", "", entry.summary + "."]
        if command.help and command.help.rstrip(".") != entry.summary:
            lines += ["", _paragraphs(command.help)]
        if command.example:
            lines += ["", "```console", *(f"$ {example}" for example in command.example), "```"]
        rows = list(_parameters(command))
        if rows:
            lines += ["", "| parameter | meaning |", "|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))


def _parameters(command: Any) -> Iterator[str]:
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        words = parameter.opts + parameter.secondary_opts
        if parameter.param_type_name == "argument":
            metavar = parameter.metavar or parameter.name.upper()
            name = metavar.strip("[]") + ("" if parameter.required else " (optional)")
        else:
            takes = "" if parameter.is_flag else f" {parameter.metavar or 'VALUE'}"
            name = ", ".join(words) + takes
        default = parameter.default
        known = default not in (None, False, (), []) and not callable(default) and not parameter.required
        yield f"| `{_cell(name)}` | {_cell(parameter.help or '')}{f' Default: `{default}`.' if known else ''} |"


def settings() -> str:
    """Every setting, its environment variable and its default."""
    lines = [
        "# Settings",
        "",
        _MADE,
        "",
        "A value comes from the first of these that has it: flag, environment (`OPSML_…`), `.env`, `opsml.toml` (nearest",
        "parent folder), the `config.json` that Azure ML studio offers (beside it), the user's own `config.toml`, the default.",
        "`opsml config show` prints each value with its origin.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    lines += [
        f"| `{name}` | {f'`{value}`' if value else ''} | {_cell(text)} |" for name, value, text in environment_variables()
    ]
    only = ", ".join(f"`azure.{name}`" for name in USER_ONLY)
    never = ", ".join(f"`azure.{name}`" for name in NOT_IN_PROJECT_FILE)
    lines += [
        "",
        f"Where tokens go is no project's business: {only} are read from the environment and the user's own settings only; a",
        f"project file that sets one is refused by name. Never in a file that is committed: {never}.",
    ]
    return "\n".join(lines) + "\n"


def exit_codes() -> str:
    """The error tree as a table, by exit code."""
    lines = [
        "# Exit codes and errors",
        "",
        _MADE,
        "",
        'With `-o json` an error is `{"error": {"code", "message", "cause", "fix", "retryable"}}` on stderr; stdout is empty.',
        "",
        "| exit code | `code` | retryable | meaning |",
        "|---|---|---|---|",
        "| 0 | | | Done. |",
    ]
    for kind in sorted(_tree(errors.OpsmlError), key=lambda kind: kind.exit_code):
        meaning = (kind.__doc__ or "").strip().splitlines()[0]
        if kind is errors.OpsmlError:
            meaning = "Unexpected: a defect; the message names the log file that tells the whole story."
        lines.append(f"| {kind.exit_code} | `{kind.code}` | {'yes' if kind.retryable else ''} | {_cell(meaning)} |")
    return "\n".join(lines) + "\n"


def _tree(kind: type[errors.OpsmlError]) -> list[type[errors.OpsmlError]]:
    below = [found for child in kind.__subclasses__() if child.__module__ == errors.__name__ for found in _tree(child)]
    return [kind, *below]


def emulator() -> str:
    """Every operation of Azure's wire that the emulator knows."""
    from opsml_cli.emulator import coverage
    from opsml_cli.emulator.routing import WORKSPACE

    lines = [
        "# What the emulator of Azure ML covers",
        "",
        _MADE,
        "",
        f"`{{ws}}` stands for `{WORKSPACE}`,",
        "in any case. [How to point scripts at it](../emulator.md).",
        *coverage.lines(),
    ]
    return "\n".join(lines) + "\n"


def oldest() -> str:
    """The lowest versions that pyproject.toml allows, as pip constraints."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = ["# The lowest versions that pyproject.toml allows. Made by `python -m docs.generate`."]
    for text in project["dependencies"]:
        found = re.match(r"([A-Za-z0-9_.-]+)>=([0-9.]+)[^;]*(;.*)?$", text)
        if found is None:
            raise ValueError(f"no lower bound: {text}")
        lines.append(f"{found[1]}=={found[2]}{found[3] or ''}")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/cli.md": commands,
    "docs/reference/settings.md": settings,
    "docs/reference/exit-codes.md": exit_codes,
    "docs/reference/emulator.md": emulator,
    ".github/constraints-oldest.txt": oldest,
}


def main(arguments: list[str]) -> int:
    """0, or 1 when `--check` found a page that differs."""
    differ = []
    for name, make in PAGES.items():
        path, text = ROOT / name, make()
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        differ.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for name in differ:
        print(f"{'differs from the code' if '--check' in arguments else 'wrote'}: {name}")
    return 1 if differ and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
