"""The error tree. Every error a user can meet is one of these.

    OpsmlError                  1  unexpected
    ├─ UsageError               2  usage            a wrong word, flag or value
    │  ├─ ConfigError           2  configuration    a wrong or missing setting
    │  └─ UnsupportedError      2  unsupported      this workspace cannot do that
    ├─ NotFoundError            3  not_found
    ├─ NotAllowedError          4  not_allowed      signed in, but without the right
    │  └─ NotSignedInError      4  not_signed_in
    ├─ ConflictError            5  conflict         the name, version or port is taken
    │  └─ BusyError             5  busy             somebody else holds it now (retryable)
    ├─ QuotaError               6  quota            cores, disk, memory, sizes
    ├─ InvalidInputError        7  invalid_input    the data or file is wrong
    │  └─ ContractError         7  contract         a reply or model broke its contract
    ├─ NotFinishedError         8  not_finished     still running (retryable)
    ├─ WorkFailedError          9  work_failed      it ran, and failed
    ├─ GateError               10  gate             it ran, and a gate said no
    ├─ CancelledError         130  interrupted      Ctrl-C
    └─ TerminatedError        143  terminated       SIGTERM

An error says what happened, by name (`message`), the likely cause (`cause`) and the next command to run (`fix`).
"""

from __future__ import annotations

from typing import ClassVar


class OpsmlError(Exception):
    """Something failed. `message` is one line; `cause` and `fix` are optional lines for the person who reads it."""

    code: ClassVar[str] = "unexpected"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, cause: str | None = None, fix: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause
        self.fix = fix

    def document(self) -> dict[str, dict[str, object]]:
        """The JSON form: `{"error": {"code", "message", "cause", "fix", "retryable"}}`."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "cause": self.cause,
                "fix": self.fix,
                "retryable": self.retryable,
            }
        }


class UsageError(OpsmlError):
    """A wrong word, flag or value on the command line."""

    code = "usage"
    exit_code = 2


class ConfigError(UsageError):
    """A wrong, unknown or missing setting."""

    code = "configuration"


class UnsupportedError(UsageError):
    """This workspace cannot do that; `fix` names the alternative."""

    code = "unsupported"


class NotFoundError(OpsmlError):
    """No such asset, job, endpoint, run or file."""

    code = "not_found"
    exit_code = 3


class NotAllowedError(OpsmlError):
    """Signed in, but without the right to do this."""

    code = "not_allowed"
    exit_code = 4


class NotSignedInError(NotAllowedError):
    """No identity, or a key or token that was refused."""

    code = "not_signed_in"


class ConflictError(OpsmlError):
    """The name, version or port is taken, or the state does not allow the change."""

    code = "conflict"
    exit_code = 5


class BusyError(ConflictError):
    """Another process holds what is needed; trying again later can work."""

    code = "busy"
    retryable = True


class QuotaError(OpsmlError):
    """Not enough cores, memory, disk or quota."""

    code = "quota"
    exit_code = 6


class InvalidInputError(OpsmlError):
    """The data, file or request is wrong."""

    code = "invalid_input"
    exit_code = 7


class ContractError(InvalidInputError):
    """A reply, model or document broke its contract."""

    code = "contract"


class NotFinishedError(OpsmlError):
    """Not finished in time; the work continues."""

    code = "not_finished"
    exit_code = 8
    retryable = True


class WorkFailedError(OpsmlError):
    """The work ran and failed."""

    code = "work_failed"
    exit_code = 9


class GateError(OpsmlError):
    """The work succeeded and a gate said no."""

    code = "gate"
    exit_code = 10


class CancelledError(OpsmlError):
    """Interrupted by Ctrl-C."""

    code = "interrupted"
    exit_code = 130


class TerminatedError(OpsmlError):
    """Ended by SIGTERM."""

    code = "terminated"
    exit_code = 143
