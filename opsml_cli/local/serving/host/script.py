"""A scoring script: foreign code with `init()` and `run(raw_data)`, answered as azureml-inference-server-http 1.5.1 does.

Where it differs on purpose, docs/conformance-scripts.md says so."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import json
import os
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from opsml_cli.domain.errors import ContractError
from opsml_cli.local.serving.host import missing, script_documents, script_input, tracebacks
from opsml_cli.local.serving.host.exchange import Description, HostReply, HostRequest
from opsml_cli.local.serving.host.main import say
from opsml_cli.local.serving.host.script_flask import Flasks
from opsml_cli.local.serving.host.script_input import InputError

MODULE = "entry_module"  # the name that Azure's server gives: what a script pickles or compares by name is the same there
FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."
NO_JSON = "An unexpected internal error occurred. Check the logs for more info."
_RUN_FAILED = "x-ms-run-function-failed"


class ScriptResponder:
    """Answers a request with what the script's `run` makes of it."""

    def __init__(self, script: LoadedScript, documents: dict[str, Any], timeout_ms: float, notes: tuple[str, ...]) -> None:
        self._script = script
        self._documents = documents
        self._timeout_ms = timeout_ms
        self._notes = notes

    def describe(self) -> Description:
        return Description(documents=self._documents, notes=self._notes)

    def answer(self, request: HostRequest) -> HostReply:
        request = script_input.measured(request)
        try:
            script_input.refuse(request)
        except InputError as error:
            status, body, media, headers = _error(error.status, str(error))
            return HostReply(status, body, media, tuple(headers))
        status, body, media, headers = self._answer(request)
        headers.append(("x-request-id", script_input.header(request, "x-request-id") or str(uuid.uuid4())))
        trace = script_input.header(request, "traceid")
        if trace is not None:
            headers.append(("TraceId", trace))
        return HostReply(status, body, media, tuple(headers))

    def _answer(self, request: HostRequest) -> _Answer:
        script = self._script
        if request.method == "OPTIONS" and not script.raw:
            return 200, b"", "text/html; charset=utf-8", [(_RUN_FAILED, "False")]
        try:
            with script.flasks.request(request) as proxy:
                arguments = script.parse(request, proxy)
                started = time.perf_counter()
                with _time_limit(self._timeout_ms):
                    result = script.run(arguments, request)
                elapsed = ("x-ms-run-fn-exec-ms", f"{(time.perf_counter() - started) * 1000:.3f}")
                response = script.flasks.reply(result)
        except InputError as error:
            return _error(error.status, str(error))
        except _TimeUpError:
            _log(f"run() did not end within {self._timeout_ms:g} ms")
            return _error(500, f"Scoring timeout after {self._timeout_ms:g} ms", failed=True)
        except BaseException as error:  # a script may raise anything, and exit: the process serves on
            _log("run() of the scoring script failed", error)
            return _error(500, FAILED, failed=True)
        status, body, media, headers = response if response is not None else _json(result)
        return status, body, media, [*headers, elapsed] if status < 500 or response is not None else headers


def _json(result: Any) -> _Answer:
    """A result as JSON; None is an empty object, as there."""
    try:
        text = json.dumps({} if result is None else result)
    except (TypeError, ValueError, RecursionError) as error:
        kind = f"{type(result).__module__}.{type(result).__qualname__}"
        _log(f"run() gave what cannot be written as JSON ({kind}): {error}; convert it, as with .tolist() or .to_dict()")
        return _error(500, NO_JSON)
    return 200, text.encode(), "application/json", [(_RUN_FAILED, "False")]


_Answer = tuple[int, bytes, str, list[tuple[str, str]]]


class LoadedScript:
    """The functions of a script that was imported, and how `run` takes its arguments."""

    def __init__(self, module: ModuleType, entry: str, code: Path) -> None:
        self.entry = entry
        for name in ("init", "run"):
            if not hasattr(module, name):
                raise ContractError(
                    f"the scoring script {entry} has no function {name}(); Azure's server needs init() and run()"
                )
        # A driver module of the SDK stands before the script itself; its run passes the call on, and not always rightly.
        driven = getattr(module, "driver_module", None)
        inner = driven if isinstance(driven, ModuleType) and hasattr(driven, "run") else module
        self._run: Callable[..., Any] = inner.run
        self.init: Callable[[], Any] = module.init
        self._headers, parameters = _parameters(self._run, entry)
        self.decorated = script_documents.is_decorated(self._run)
        self.flasks = Flasks(code / entry)
        self.raw = _raw_requested()
        if self.raw and self.decorated:
            raise ContractError(f"run() of {entry} is decorated with both @rawhttp and @input_schema: only one can hold")
        self._parameters = parameters

    @property
    def function(self) -> Callable[..., Any]:
        return self._run

    def parse(self, request: HostRequest, proxy: Any) -> dict[str, Any]:
        """The arguments by name, without the headers. InputError, MethodError."""
        if self.raw:
            return {self._parameters[0].name: proxy}
        if self.decorated:
            return script_input.by_name(request, self._parameters)
        return {self._parameters[0].name: script_input.text(request)}

    def run(self, arguments: dict[str, Any], request: HostRequest) -> Any:
        if self._headers:
            return self._run(**arguments, request_headers=script_input.header_names(request))
        return self._run(**arguments)


def load(code: Path, entry: str) -> ScriptResponder:
    """Import the script `entry` of the folder `code`, call its `init`, and say what it takes. ContractError with the reason.

    The folder becomes the current one and stands last where modules are looked for, as on Azure's server: what is installed
    comes before it, and the folder of a script that lies deeper is not looked into."""
    code = code.resolve()
    os.chdir(code)
    if str(code) not in sys.path:
        sys.path.append(str(code))
    place = code / entry
    if not place.is_file():
        raise ContractError(f"there is no scoring script {entry} in the code folder")
    try:
        module = module_of(place, MODULE)
    except BaseException as error:
        raise _not_loaded(f"the scoring script {entry} cannot be imported", error, code, entry) from error
    script = LoadedScript(module, entry, code)
    try:
        script.init()
    except BaseException as error:
        raise _not_loaded(f"init() of the scoring script {entry} failed", error, code, entry) from error
    script.flasks.take()
    documents = script_documents.documents(code, script.function)
    return ScriptResponder(script, documents, _timeout_ms(), _notes(script, code))


def module_of(entry: Path, name: str) -> ModuleType:
    """The script's module, run under `name`. ContractError for what is no Python file; whatever the script raises."""
    spec = importlib.util.spec_from_file_location(name, entry)
    if spec is None or spec.loader is None:
        raise ContractError(f"the scoring script {entry.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _parameters(run: Callable[..., Any], entry: str) -> tuple[bool, list[inspect.Parameter]]:
    """Whether `run` takes `request_headers`, and its other parameters."""
    try:
        found = list(inspect.signature(run).parameters.values())
    except (TypeError, ValueError) as error:
        raise ContractError(f"run of the scoring script {entry} is no function: {error}") from error
    if any(each.kind not in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD) for each in found):
        raise ContractError(f"run() of {entry} must not take positional-only arguments, *args or **kwargs: they go by name")
    others = [each for each in found if each.name != "request_headers"]
    if not others:
        raise ContractError(f"run() of {entry} must take an argument for the request's data, as in run(raw_data)")
    return len(others) < len(found), others


_RAW = ("azureml_inference_server_http.api.aml_request", "azureml.contrib.services.aml_request")


def _raw_requested() -> bool:
    return any(getattr(sys.modules.get(name), "_rawHttpRequested", False) for name in _RAW)


# Modules in the folder of Azure's server, which it puts before the code folder.
_HIDDEN = ("config", "routes", "utils", "swagger", "entry", "exceptions", "create_app", "user_script", "input_parsers")


def _notes(script: LoadedScript, code: Path) -> tuple[str, ...]:
    """What works here and not on azureml-inference-server-http 1.5.1."""
    notes = []
    if script.raw and not getattr(sys.modules.get(_RAW[0]), "_rawHttpRequested", False):
        notes.append(
            f"@rawhttp of azureml.contrib.services has no effect on Azure's server since 1.5: import it from {_RAW[0]}"
        )
    notes += [
        f"on Azure's server 'import {name}' finds a module of the server's own: rename yours"
        for name in _HIDDEN
        if str(getattr(sys.modules.get(name), "__file__", None) or "").startswith(f"{code}{os.sep}")
    ]
    return tuple(notes)


def _not_loaded(title: str, error: BaseException, code: Path, entry: str) -> ContractError:
    if isinstance(error, ContractError):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name:
        return ContractError(f"{title}: {missing.explained(error.name, code, entry)}")
    if isinstance(error, SystemExit):
        return ContractError(f"{title}: it ended the process with sys.exit({error.code!r})")
    where = _line(error, code)
    return ContractError(f"{title}: {type(error).__name__}: {error}" + (f" ({where})" if where else ""))


def _line(error: BaseException, code: Path) -> str | None:
    """The last line of the script's own files that the error went through."""
    if isinstance(error, SyntaxError) and error.filename:
        return None  # its text has them
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename.startswith(f"{code}{os.sep}")]
    return f"{os.path.relpath(frames[-1].filename, code)}, line {frames[-1].lineno}" if frames else None


def _error(status: int, message: str, *, failed: bool = False) -> _Answer:
    return status, json.dumps({"message": message}).encode(), "application/json", [(_RUN_FAILED, str(failed))]


def _log(message: str, error: BaseException | None = None) -> None:
    """To the deployment's log, with the frames of the script and of its packages."""
    if error is None:
        say("error", message)
    else:
        say("error", "\n".join([f"{message}: {type(error).__name__}: {error}", *tracebacks.lines_of(error)]))


# Time


class _TimeUpError(BaseException):
    """Not an Exception: the script's own `except Exception` must not take it for one of its own."""


def _timeout_ms() -> float:
    given = os.environ.get("SCORING_TIMEOUT_MS", "").strip()
    if not given:
        return 0.0
    try:
        return float(int(given))
    except ValueError:
        raise ContractError(f"the variable SCORING_TIMEOUT_MS is {given!r}, not a whole number of milliseconds") from None


def _time_up(_number: int, _frame: FrameType | None) -> None:
    raise _TimeUpError


@contextlib.contextmanager
def _time_limit(milliseconds: float) -> Iterator[None]:
    """Interrupt the script where signals can; elsewhere the front's own limit ends the process."""
    if not milliseconds or not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _time_up)
    signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
