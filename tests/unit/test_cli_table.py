"""The command table and the commands agree."""

from __future__ import annotations

import inspect

import pytest

from opsml_cli.cli import completion, table
from opsml_cli.cli.global_options import OPTIONS
from opsml_cli.cli.loader import function_of, load
from opsml_cli.cli.render import registry

FLAGS = {flag for option in OPTIONS for flag in option.flags}


@pytest.mark.parametrize("command", table.COMMANDS, ids=lambda command: command.path)
def test_entry_has_a_function_with_example_and_the_options_it_promises(command: table.Command) -> None:
    function = function_of(command)
    leaf = load(command)
    assert leaf.example, "the docstring has no `Example:` line"
    assert all(example.startswith(f"opsml {command.path}") for example in leaf.example)
    own = {flag for p in leaf.params if not p.name.startswith("global_") for flag in (*p.opts, *p.secondary_opts)}
    assert not own & FLAGS, "a command must not take a global option's name"
    assert ("--dry-run" in own) is command.changing
    assert ("--yes" in own) is command.destructive
    assert ({"--no-wait", "--wait-timeout"} <= own) is command.waiting
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty


def test_every_group_of_the_table_has_a_summary() -> None:
    groups = {" ".join(command.path.split()[:end]) for command in table.COMMANDS for end in range(1, len(command.path.split()))}
    assert groups == set(table.GROUPS)
    assert not groups & set(table.BY_PATH)


def test_paths_are_unique_and_summaries_fit_a_line() -> None:
    assert len(table.BY_PATH) == len(table.COMMANDS)
    assert all(0 < len(command.summary) <= 75 and not command.summary.endswith(".") for command in table.COMMANDS)


@pytest.mark.parametrize(("kind", "module"), registry.MODULES.items())
def test_every_registered_type_has_a_rendering(kind: str, module: str) -> None:
    from importlib import import_module

    names = {found.__name__ for found in import_module(f"opsml_cli.cli.render.{module}").RENDERINGS}
    assert kind in names


def test_completion_knows_the_options_of_every_command() -> None:
    from opsml_cli.cli.option_names import OPTION_NAMES

    found: dict[str, dict[str, tuple[str, ...]]] = {}
    exec(completion.generated(), found)
    assert found["OPTION_NAMES"] == OPTION_NAMES, "run: python -m opsml_cli.cli.completion --write"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["dta"], ["data"]),
        (["endpoint"], ["endpoints"]),
        (["data", "lst"], ["data list"]),
        (["data", "Register"], ["data register"]),
        (["rollback"], ["endpoints rollback"]),
        (["xyzzy"], []),
    ],
)
def test_suggestions(words: list[str], expected: list[str]) -> None:
    assert table.suggest(words)[: len(expected) or None] == expected
