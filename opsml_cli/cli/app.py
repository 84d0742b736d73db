"""Runs a command line: parse, run the command, render its result. The one place where errors become exit codes."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from opsml_cli.cli.global_options import Globals, scan
from opsml_cli.cli.loader import Invocation, LeafCommand, load, root

if TYPE_CHECKING:
    from opsml_cli.cli.output import Output
    from opsml_cli.domain.errors import OpsmlError


class _Terminated(BaseException):
    """SIGTERM arrived."""


def run(argv: list[str]) -> int:
    """The exit code of `opsml argv…`. Nothing is raised."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Whatever the locale: a character that it lacks is written as an escape, and ends nothing.
            stream.reconfigure(errors="backslashreplace")
    run_ = _Run(argv, os.environ)
    with _terminate_by_exception():
        try:
            return run_.run()
        except BaseException as error:  # the boundary: whatever it is, it ends here
            return run_.failed(error)


def _check_text(argv: Sequence[str]) -> None:
    """UsageError for a word that is no UTF-8: it could be put into no record, no answer and no log."""
    try:
        "".join(argv).encode()
    except UnicodeEncodeError:
        from opsml_cli.domain.errors import UsageError

        word = next(word for word in argv if any("\ud800" <= letter <= "\udfff" for letter in word))
        raise UsageError(
            f"{os.fsencode(word)!r} is not UTF-8 text", fix="rename the file, or write the word in UTF-8 (check LANG)"
        ) from None


def parse(argv: list[str]) -> Invocation | None:
    """The command that `opsml argv…` names, with its values; None when parsing answered already (--help, --version)."""
    group = root()
    with group.make_context("opsml", list(argv)) as context:
        invocation = group.invoke(context)
    return invocation if isinstance(invocation, Invocation) else None


def carry_out(invocation: Invocation, output: Output, environment: Mapping[str, str]) -> tuple[object, OpsmlError | None]:
    """Run the command and show its result on `output`: the path of the shell, and of the demo. Gives the result, and the
    error of a verdict; everything else is raised."""
    from opsml_cli.cli.result import ProcessEnded, Verdict
    from opsml_cli.cli.session import Session

    session = Session(invocation.options, output, environment)
    if invocation.command.announced:
        session.announce()
    error: OpsmlError | None = None
    try:
        result = invocation.call(session)
        if isinstance(result, Verdict):
            error = result.error
            result = result.result
        if isinstance(result, ProcessEnded):
            raise SystemExit(result.exit_code)
        output.result(result)
    except KeyboardInterrupt as interrupt:
        if not invocation.command.waiting:
            raise
        from opsml_cli.domain.errors import CancelledError

        raise CancelledError("interrupted; work that was started continues", fix="see `opsml jobs list`") from interrupt
    finally:
        if output.before_writing is not None:
            output.before_writing()
    return result, error


class _Run:
    def __init__(self, argv: list[str], environment: Mapping[str, str]) -> None:
        self.argv = argv
        self.environment = environment
        self.output: Output | None = None
        self.log: Path | None = None

    def run(self) -> int:
        _check_text(self.argv)
        invocation = parse(self.argv)
        if invocation is None:
            return 0
        output = self._make_output(invocation.options)
        output.prepare()
        _silence_libraries()
        if invocation.options.debug:
            self._start_log(output)
        _, error = carry_out(invocation, output, self.environment)
        if error is not None:
            output.error(error)
            return error.exit_code
        return 0

    def _make_output(self, options: Globals) -> Output:
        from opsml_cli.cli.output import Output

        self.output = Output(options, self.environment, sys.stdout, sys.stderr)
        return self.output

    def _start_log(self, output: Output) -> None:
        from opsml_cli.cli import debug_log

        self.log = debug_log.new_log()
        if self.log is None:
            output.warn("the debug log could not be made")
            return
        debug_log.start_logging(self.log, output.masking)
        output.always(f"debug log: {self.log}")

    # --- errors

    def failed(self, error: BaseException) -> int:
        """Tell `error` and give its exit code."""
        if isinstance(error, typer.Exit):
            return error.exit_code
        if isinstance(error, SystemExit):
            return error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        if self.output is None:
            self._make_output(self._best_guess())
        output = self.output
        assert output is not None
        if _reader_gone(error):
            _point_away(sys.stdout)
            return 0
        translated = self._translate(error, output)
        output.error(translated)
        if isinstance(error, OSError):
            # Perhaps it was stdout that failed: what is left in it must not fail once more at the very end.
            _flush_or_point_away(sys.stdout)
        if output.options.debug and translated.__class__.__name__ == "OpsmlError":
            import traceback

            for line in "".join(traceback.format_exception(error)).splitlines():
                output.always(line)
        return translated.exit_code

    def _best_guess(self) -> Globals:
        """The global options of a command line that did not parse."""

        def value_flags(path: str) -> frozenset[str]:
            from opsml_cli.cli import table

            try:
                command = load(table.BY_PATH[path])
            except Exception:  # the command itself may be what is broken
                return frozenset()
            return _value_flags(command)

        options = scan(self.argv, value_flags)
        from opsml_cli.cli.global_options import FORMATS

        if options.format not in FORMATS:
            options.output = None
        return options

    def _translate(self, error: BaseException, output: Output) -> OpsmlError:  # noqa: PLR0911 - a table of cases
        from opsml_cli.domain import errors

        if isinstance(error, errors.OpsmlError):
            return error
        if isinstance(error, typer.TyperException):
            return _parser_error(error)
        if isinstance(error, KeyboardInterrupt | typer.Abort):
            return errors.CancelledError("interrupted")
        if isinstance(error, _Terminated):
            return errors.TerminatedError("terminated")
        if isinstance(error, MemoryError):
            return errors.QuotaError("not enough memory", fix="use a smaller input, or a machine with more memory")
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" ({error.filename})" if error.filename else ""
            return errors.QuotaError(f"no space left on the disk{where}", fix="free some space and run the command again")
        if isinstance(error, PermissionError) and error.filename:
            return errors.NotAllowedError(f"{error.filename}: {error.strerror}", fix="check the file's owner and rights")
        return self._unexpected(error, output)

    def _unexpected(self, error: BaseException, output: Output) -> OpsmlError:
        from opsml_cli.cli import debug_log
        from opsml_cli.domain.errors import OpsmlError

        self.log = self.log or debug_log.new_log()
        if self.log is not None:
            debug_log.record_failure(self.log, error, output.masking, self.argv)
        what = "it nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())[:500]
        kind = type(error).__name__
        told = OpsmlError(
            f"unexpected: {kind}: {what}" if what else f"unexpected: {kind}",
            cause="a defect of opsml, or something it does not know how to tell",
            fix=f"the whole story is in {self.log}" if self.log else "run the command again with --debug",
        )
        told.__cause__ = error
        return told


def _silence_libraries() -> None:
    """What libraries log or warn of goes to the debug log alone: stderr is ours, and masked."""
    import logging

    # Not None: then logging itself writes "No handlers could be found for logger …".
    logging.lastResort = logging.NullHandler()
    logging.captureWarnings(True)


def _value_flags(command: LeafCommand) -> frozenset[str]:
    return frozenset(
        flag
        for parameter in command.params
        for flag in parameter.opts
        if flag.startswith("-") and not getattr(parameter, "is_flag", False) and not parameter.name.startswith("global_")
    )


def _parser_error(error: Any) -> OpsmlError:
    """What Typer's parser raised, as a UsageError that says where help is."""
    from opsml_cli.domain.errors import UsageError

    context = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split())
    near = getattr(error, "possibilities", None)
    cause = None
    if near:
        message = error.message
        cause = f"did you mean {' or '.join(sorted(near)[:3])}?"
    message = message.rstrip(".")
    path = context.command_path if context is not None else "opsml"
    words = path.split(" ")
    # Typer's own path names the arguments of the parents too; ours is the words alone.
    told = " ".join(word for word in words if word[:1] not in "[{<")
    return UsageError(message[:1].lower() + message[1:], cause=cause, fix=f"see `{told} --help`")


def _reader_gone(error: BaseException) -> bool:
    from opsml_cli.cli.output import ReaderGone

    return isinstance(error, ReaderGone | BrokenPipeError)


def _point_away(stream: Any) -> None:
    """Keep the interpreter from complaining when it flushes a stream that nobody reads."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError, AttributeError):
        return


def _flush_or_point_away(stream: Any) -> None:
    try:
        stream.flush()
    except (OSError, ValueError, AttributeError):
        _point_away(stream)


class _terminate_by_exception:  # noqa: N801 - used as a function
    """While it lasts, SIGTERM ends the work as an exception does: with clean-up."""

    def __enter__(self) -> None:
        def terminated(*_: object) -> NoReturn:
            raise _Terminated

        try:
            self._before: Any = signal.signal(signal.SIGTERM, terminated)
        except ValueError:  # not the main thread
            self._before = None

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)
