"""From the command table to Typer commands: groups know names and summaries only, a command is loaded when it is run.

Nothing is run here. Parsing ends in an `Invocation`, and `app.py` carries it out: one path for the shell and for tests.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from copy import copy
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from opsml_cli.cli import table
from opsml_cli.cli.global_options import OPTIONS, PREFIX, Globals

if TYPE_CHECKING:
    from opsml_cli.cli.session import Session

Call = Callable[["Session"], object]


class Invocation:
    """A parsed command line: which command, the global options, and the call that does it."""

    def __init__(self, command: table.Command, options: Globals, call: Call) -> None:
        self.command = command
        self.options = options
        self.call = call


# Texts and absent values need no coercion; Typer's would load pydantic to give them back as they are.


def _is_text(parameter: TyperOption | TyperArgument, value: object) -> bool:
    descriptor = parameter.type_descriptor
    return isinstance(value, str) and descriptor.annotation is str and descriptor.parameter_info.parser is None


class _Option(TyperOption):
    def process_value(self, ctx: Any, value: Any) -> Any:
        if (value is None and not self.required and not self.multiple) or _is_text(self, value):
            return value if self.callback is None else self.callback(ctx, self, value)
        return super().process_value(ctx, value)


class _Argument(TyperArgument):
    def process_value(self, ctx: Any, value: Any) -> Any:
        if (value is None and not self.required and self.nargs == 1) or _is_text(self, value):
            return value if self.callback is None else self.callback(ctx, self, value)
        return super().process_value(ctx, value)


def _cheap(parameter: Any) -> Any:
    """The same parameter, without needless coercion. Typer makes its parameters itself, hence the change of class."""
    if parameter is not None:
        parameter.__class__ = _Argument if isinstance(parameter, TyperArgument) else _Option
    return parameter


def _parameters(signature: inspect.Signature, function: Callable[..., object]) -> TyperCommand:
    """The Typer command of a function with this signature."""
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__annotations__ = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(cls=LeafCommand)(function)
    command = typer.main.get_command(app)
    for parameter in command.params:
        _cheap(parameter)
    assert isinstance(command, TyperCommand)
    return command


@cache
def _global_templates() -> list[Any]:
    def nothing(**_: object) -> None: ...

    def parameter(name: str, flags: tuple[str, ...], takes: str | None, text: str) -> inspect.Parameter:
        kind = str | None if takes else bool
        annotation = Annotated[kind, typer.Option(*flags, metavar=takes, help=text)]  # type: ignore[valid-type]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None if takes else False, annotation=annotation)

    return _parameters(inspect.Signature([parameter(*option) for option in OPTIONS]), nothing).params


def _global_parameters(*, hidden: bool) -> list[Any]:
    parameters = [copy(template) for template in _global_templates()]
    for parameter in parameters:
        parameter.hidden = hidden
    return parameters


def _root_parameters() -> list[Any]:
    """What only `opsml` itself takes, answered while parsing."""

    def version(value: bool) -> None:
        if value:
            from opsml_cli import __version__

            typer.echo(f"opsml {__version__}")
            raise typer.Exit

    def show(shell: str | None) -> None:
        if shell:
            from opsml_cli.cli.completion import script

            typer.echo(script(shell))
            raise typer.Exit

    def install(shell: str | None) -> None:
        if shell:
            from opsml_cli.cli.completion import install

            typer.echo(install(shell))
            raise typer.Exit

    def nothing(**_: object) -> None: ...

    keyword = inspect.Parameter.KEYWORD_ONLY
    shell_help = "{} completion for bash, zsh or fish."
    options: list[tuple[str, Any, object]] = [
        (
            "version",
            Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")],
            False,
        )
    ]
    for name, verb, callback in (("show", "Print", show), ("install", "Install", install)):
        option = typer.Option(
            f"--{name}-completion", callback=callback, is_eager=True, metavar="SHELL", help=shell_help.format(verb)
        )
        options.append((f"{name}_completion", Annotated[str | None, option], None))
    signature = inspect.Signature(
        [inspect.Parameter(name, keyword, default=default, annotation=kind) for name, kind, default in options]
    )
    parameters = _parameters(signature, nothing).params
    for parameter in parameters:
        parameter.expose_value = False
    return parameters


def function_of(command: table.Command) -> Callable[..., object]:
    """The command's function; its module is loaded for it."""
    module, _, name = command.target.partition(":")
    function: Callable[..., object] = getattr(import_module(f"opsml_cli.cli.commands.{module}"), name)
    return function


def load(command: table.Command) -> LeafCommand:
    """The Typer command of a table entry, with the global options added."""
    function = function_of(command)
    signature = inspect.signature(function)
    wants_session = "session" in signature.parameters
    # What it returns is not looked at: its type may be known to type checkers alone, and cost nothing here.
    own = [_evaluated(parameter, function) for name, parameter in signature.parameters.items() if name != "session"]

    def bind(**values: Any) -> Call:
        if wants_session:
            return lambda session: function(session, **values)
        return lambda session: function(**values)  # noqa: ARG005 - same shape as above

    leaf = _parameters(inspect.Signature(own), bind)
    assert isinstance(leaf, LeafCommand)
    leaf.entry = command
    leaf.name = command.path.split()[-1]
    leaf.example, leaf.help = split_example(inspect.getdoc(function) or command.summary)
    leaf.epilog = "Global options (-w, -o, --query, …) work here too: see `opsml --help`."
    leaf.params.extend(_global_parameters(hidden=True))
    return leaf


def _evaluated(parameter: inspect.Parameter, function: Callable[..., object]) -> inspect.Parameter:
    """The parameter with its annotation as a type, where a `from __future__` left its text."""
    annotation = parameter.annotation
    if isinstance(annotation, str):
        annotation = eval(annotation, function.__globals__)  # noqa: S307 - the text is our own source
    return parameter.replace(annotation=annotation)


def split_example(text: str) -> tuple[list[str], str]:
    """The `Example: …` lines of a docstring, and the rest of it."""
    examples, rest = [], []
    for line in text.splitlines():
        word, colon, command = line.strip().partition(":")
        if colon and word in ("Example", "Examples") and command:
            examples.append(command.strip())
        else:
            rest.append(line)
    return examples, "\n".join(rest).strip()


def _options_so_far(ctx: typer.Context) -> Globals:
    levels = []
    node: Any = ctx
    while node is not None:
        levels.append(node.params)
        node = node.parent
    options = Globals()
    for params in reversed(levels):
        options.take(params)
    return options


def _write_examples(formatter: Any, examples: list[str]) -> None:
    for example in examples:
        formatter.write(f"Example: {example}\n")
    if examples:
        formatter.write_paragraph()


class LeafCommand(TyperCommand):
    """A command. Invoking it gives an Invocation; `app.py` runs that."""

    entry: table.Command
    example: list[str]

    def get_help_option(self, ctx: Any) -> Any:
        return _cheap(super().get_help_option(ctx))

    def invoke(self, ctx: Any) -> Invocation:
        values = {name: value for name, value in ctx.params.items() if not name.startswith(PREFIX)}
        assert self.callback is not None
        return Invocation(self.entry, _options_so_far(ctx), self.callback(**values))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _write_examples(formatter, self.example)
        super().format_help(ctx, formatter)


class LazyGroup(TyperGroup):
    """The commands below `path` (`""`: the root), from the table."""

    def __init__(self, path: str = "") -> None:
        root = not path
        super().__init__(
            name=path.rsplit(maxsplit=1)[-1] if path else "opsml",
            params=[*_global_parameters(hidden=not root), *(_root_parameters() if root else ())],
            help=_ABOUT if root else table.GROUPS[path],
            invoke_without_command=True,
            rich_markup_mode=None,
        )
        self.path = path

    def get_help_option(self, ctx: Any) -> Any:
        return _cheap(super().get_help_option(ctx))

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the table knows without a context
        return list(table.children(self.path))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        path = f"{self.path} {cmd_name}".strip()
        if path in table.GROUPS:
            return LazyGroup(path)
        command = table.BY_PATH.get(path)
        return None if command is None else load(command)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        word = args[0]
        if word not in table.children(self.path):
            raise self._unknown(word)
        return super().resolve_command(ctx, args)

    def _unknown(self, word: str) -> Exception:
        from opsml_cli.domain.errors import UsageError

        words = [*self.path.split(), word]
        near = table.suggest(words)
        cause = "did you mean " + " or ".join(repr(f"opsml {path}") for path in near) + "?" if near else None
        return UsageError(f"no such command: opsml {' '.join(words)}", cause=cause, fix=f"see `{self._title()} --help`")

    def _title(self) -> str:
        return f"opsml {self.path}".strip()

    def _alone(self, ctx: Any) -> None:
        if not self.path and not any(value for value in ctx.params.values()):
            typer.echo(ctx.get_help())
            raise typer.Exit
        from opsml_cli.domain.errors import UsageError

        words = ", ".join(table.children(self.path))
        raise UsageError(
            f"{self._title()}: a command is missing", cause=f"there are: {words}", fix=f"see `{self._title()} --help`"
        )

    def invoke(self, ctx: Any) -> Any:
        self.callback = lambda **_: self._alone(ctx) if ctx.invoked_subcommand is None else None
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        if not self.path:
            _write_examples(formatter, ["opsml demo", "opsml train automl --data bank --target-column y"])
        super().format_help(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(table.children(self.path).items()))


_ABOUT = """From a CSV to a watched, documented, retrainable model service.

Everything happens in a workspace: the folder .opsml here, or the one that -w names."""


def root() -> LazyGroup:
    return LazyGroup()
