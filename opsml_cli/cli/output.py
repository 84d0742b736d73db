"""The only writer: results on stdout in the format that was asked for; everything else on stderr."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from opsml_cli.cli import ci, formats, text
from opsml_cli.cli.global_options import FORMATS, Globals
from opsml_cli.cli.masking import Masking, secret_values
from opsml_cli.cli.render.registry import rendering_of

if TYPE_CHECKING:
    from opsml_cli.cli.render.base import Rendering
    from opsml_cli.domain.errors import OpsmlError

_QUERYABLE = ("json", "yaml", "tsv")
_RED, _YELLOW, _BOLD, _DIM, _RESET = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[2m", "\x1b[0m"


class ReaderGone(Exception):  # noqa: N818 - no error: `| head -1` has read enough
    """Nobody reads stdout any more."""


def coloured(stream: TextIO | None, options: Globals, environment: Mapping[str, str]) -> bool:
    """Whether escape sequences may go to `stream`. A CI system is no terminal, whatever it says."""
    if options.no_color:
        return False
    if environment.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return False
    return stream is not None and stream.isatty()


class Output:
    """Both streams of one run."""

    def __init__(self, options: Globals, environment: Mapping[str, str], stdout: TextIO | None, stderr: TextIO | None) -> None:
        self.options = options
        self.environment = environment
        self.stdout = stdout
        self.stderr = stderr
        self.ci = ci.provider(environment)
        self.masking = Masking()
        self.masking.add_all(secret_values(environment))
        self.query: Callable[[Any], Any] | None = None
        # Progress that draws on the terminal puts itself away before anything else is written there.
        self.before_writing: Callable[[], None] | None = None

    def prepare(self) -> None:
        """Refuse wrong output options, before any work. UsageError."""
        from opsml_cli.domain.errors import UsageError

        if self.options.format not in FORMATS:
            unknown, self.options.output = self.options.output, None
            raise UsageError(f"-o {unknown!r} is no output format", cause=f"there are: {', '.join(FORMATS)}")
        if self.options.query is not None:
            if self.options.format not in _QUERYABLE:
                raise UsageError(
                    f"--query does not work with -o {self.options.format}",
                    fix=f"add -o {', -o '.join(_QUERYABLE[:-1])} or -o tsv",
                )
            from opsml_cli.cli.query import compile_query

            self.query = compile_query(self.options.query)

    # --- results

    def result(self, value: object) -> None:
        """Show a command's result on stdout, and hand its figures to CI."""
        if isinstance(value, Iterator):
            for item in value:
                self._put_aside()
                self._one(item, streamed=True)
            return
        self._put_aside()
        rendering = None if value is None else rendering_of(type(value))
        if rendering is not None:
            self._tell_ci(rendering, value)
        self._one(value, streamed=False)

    def _one(self, value: Any, *, streamed: bool) -> None:
        form = self.options.format
        if form == "none":
            return
        if form == "table":
            self._person(value, streamed=streamed)
            return
        document, columns = self._document(value)
        if self.query is not None:
            document, columns = self.query(document), ()
        if form == "tsv":
            if value is not None:
                self._data(formats.to_tsv(formats.to_rows(document, columns)))
        elif form == "yaml":
            self._data(("---\n" if streamed else "") + formats.to_yaml(document))
        elif form == "jsonl" and isinstance(document, list):
            self._json_lines(document)
        else:
            self._json(document, indent=None if streamed or form == "jsonl" else 2)

    def _document(self, value: Any) -> tuple[Any, Sequence[str]]:
        """The plain document of a value, and the columns of its tsv rows."""
        if isinstance(value, list | tuple):
            rendering = rendering_of(type(value[0])) if value else None
            if rendering is None:
                return formats.plain(value), ()
            documents = [rendering.document(item) for item in value]
            columns = rendering.columns or list(documents[0])
            return formats.plain([_main_fields(document, columns) for document in documents]), columns
        rendering = rendering_of(type(value))
        if rendering is None:
            return formats.plain(value), ()
        return formats.plain(rendering.document(value)), rendering.columns

    def _json(self, document: Any, indent: int | None) -> None:
        self._write_json(formats.to_json(document, indent=indent, ascii_only=self._ascii_only) + "\n")

    def _json_lines(self, documents: Sequence[Any]) -> None:
        """An object a line, many lines in one write."""
        ascii_only = self._ascii_only
        self._write_json("".join(formats.to_json(one, indent=None, ascii_only=ascii_only) + "\n" for one in documents))

    @property
    def _ascii_only(self) -> bool:
        return (getattr(self.stdout, "encoding", None) or "ascii").lower().replace("-", "") != "utf8"

    def _write_json(self, written: str) -> None:
        self._write(self.stdout, text.defuse_json(written) if self.ci else written)

    def _person(self, value: Any, *, streamed: bool) -> None:
        width = self.width
        rendering = None
        if isinstance(value, list | tuple):
            if not value:
                self.note("nothing to list")
                return
            rendering = rendering_of(type(value[0]))
            if rendering is not None and rendering.list_view is not None:
                self._shown(rendering.list_view(value, width or 10_000))
                return
            documents, columns = self._document(value)
            if isinstance(documents[0], dict):
                names = list(columns or documents[0])
                table = formats.to_table(names, formats.to_rows(documents, names), width)
                head, line, rest = table.partition("\n")
                self._data(self._styled(_BOLD, head) + line + rest, colours=True)
            else:
                self._data(formats.to_tsv(formats.to_rows(documents)))
            return
        if value is None:
            return
        rendering = rendering_of(type(value))
        if rendering is not None and rendering.view is not None:
            self._shown(rendering.view(value, width or 10_000))
        elif isinstance(value, str):
            self._shown(value)
        else:
            document, columns = self._document(value)
            if streamed:
                self._data("".join("  ".join(row) + "\n" for row in formats.to_rows(document, columns)))
            elif isinstance(document, dict) and rendering is not None:
                self._data(formats.to_fields(document, width))
            else:
                self._json(document, indent=2)

    def _shown(self, view: object) -> None:
        """A view: text, or a rich renderable."""
        if isinstance(view, str):
            self._data(view if view.endswith("\n") else view + "\n")
            return
        self._data(self.rich_text(view, self.stdout), colours=True)

    def rich_text(self, renderable: object, stream: TextIO | None) -> str:
        """What rich makes of `renderable` for `stream`: no escape sequence where none belongs, no wrapping off a terminal."""
        from rich.console import Console

        colours = coloured(stream, self.options, self.environment)
        buffer = io.StringIO()
        console = Console(
            file=buffer,
            width=self.width or 10_000,
            force_terminal=colours,
            force_interactive=False,
            no_color=not colours,
            color_system="standard" if colours else None,
            legacy_windows=False,
            highlight=False,
            emoji=False,
            _environ={},
        )
        console.print(renderable, soft_wrap=False)
        return "".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines())

    # --- stderr

    def note(self, message: str) -> None:
        """A line that a person wants to know."""
        if not self.options.quiet:
            self._say(message)

    def hint(self, message: str) -> None:
        if not self.options.quiet:
            self._say(f"hint: {message}", _DIM)

    def warn(self, message: str) -> None:
        if not self.options.quiet:
            self._say(f"warning: {message}", _YELLOW)

    def always(self, message: str) -> None:
        """A line that is there even with --quiet."""
        self._say(message)

    def ask(self, question: str) -> None:
        """A question, without a line break."""
        self._put_aside()
        self._write(self.stderr, self._safe(question))

    def error(self, error: OpsmlError) -> None:
        """An error, as the output format says; in CI an annotation too."""
        self._put_aside()
        annotation = self.ci.annotation(self._masked_line(error.message)) if self.ci else None
        if annotation:
            self.raw(annotation)
        if self.options.format in ("json", "jsonl"):
            document = formats.plain(error.document())
            masked = {
                key: self.masking.mask(value) if isinstance(value, str) else value for key, value in document["error"].items()
            }
            written = formats.to_json({"error": masked}, indent=None, ascii_only=True) + "\n"
            self._write(self.stderr, text.defuse_json(written) if self.ci else written)
            return
        self._say(f"error: {error.message}", _RED)
        if error.cause:
            self._say(f"  cause: {error.cause}")
        if error.fix:
            self._say(f"  fix: {error.fix}")

    def raw(self, line: str) -> None:
        """A CI command of our own: the only text that is not defused."""
        self._write(self.stderr, line + "\n")

    def mask(self, secret: str) -> None:
        """Keep `secret` out of everything on stderr, and tell CI to do the same with its whole log."""
        self.masking.add(secret)
        for line in secret.splitlines() if self.ci else ():
            command = self.ci.mask(line.strip()) if self.ci and line.strip() else None
            if command:
                self.raw(command)

    def _tell_ci(self, rendering: Rendering, value: object) -> None:
        if rendering.secrets is not None:
            for secret in rendering.secrets(value):
                self.mask(secret)
        if self.ci is None:
            return
        try:
            if rendering.outputs is not None:
                self.ci.outputs(rendering.outputs(value), self.raw)
            summary = rendering.summary(value) if rendering.summary is not None else None
            if summary:
                self.ci.summary(summary, self.raw)
        except OSError as error:
            self.warn(f"the CI system's file could not be written: {error}")

    # --- writing

    @property
    def width(self) -> int | None:
        """Columns of the terminal on stdout; None where there is none, and nothing is to be shortened or wrapped."""
        if self.stdout is None or not self.stdout.isatty():
            return None
        try:
            return max(40, os.get_terminal_size(self.stdout.fileno()).columns)
        except OSError:
            return None

    def _styled(self, style: str, message: str, stream: TextIO | None = None) -> str:
        stream = stream or self.stdout
        return f"{style}{message}{_RESET}" if coloured(stream, self.options, self.environment) else message

    def _masked_line(self, message: str) -> str:
        return text.escape_line(self.masking.mask(message))

    def _safe(self, message: str) -> str:
        line = self._masked_line(message)
        return text.defuse(line) if self.ci else line

    def _say(self, message: str, style: str = "") -> None:
        self._put_aside()
        line = self._safe(message)
        self._write(self.stderr, (self._styled(style, line, self.stderr) if style else line) + "\n")

    def _data(self, written: str, *, colours: bool = False) -> None:
        safe = text.escape_but_colour(written) if colours else text.escape_lines(written)
        self._write(self.stdout, text.defuse(safe) if self.ci else safe)

    def _put_aside(self) -> None:
        if self.before_writing is not None:
            self.before_writing()

    def _write(self, stream: TextIO | None, written: str) -> None:
        if stream is None:
            return
        try:
            stream.write(written)
            stream.flush()
        except BrokenPipeError as error:
            if stream is self.stdout:
                raise ReaderGone from error
        except OSError:
            if stream is self.stdout:
                raise


def _main_fields(document: Mapping[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    """An item of a list, and why those of its fields are null that nobody knows."""
    shown = {name: document.get(name) for name in columns}
    unknown = document.get("unknown") or {}
    reasons = {name: unknown[name] for name in columns if name in unknown and shown[name] is None}
    return {**shown, "unknown": reasons} if reasons else shown
