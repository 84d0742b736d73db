"""Long-running operations: what a client polls until the work behind it is done.

An operation outlives this process: it is a record of the local workspace. What it waits for is told by a watch: a named
function that looks at local state. How soon a finished operation says so is the pace."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opsml_cli.emulator.site import Served
    from opsml_cli.emulator.wire import Call


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the work stands: `done` None while it runs; False when it failed, with `message` and `code`."""

    done: bool | None
    message: str = ""
    code: str = "UserError"


# From the workspace and the operation's subject (names) to how the work stands.
Watch = Callable[["Served", Sequence[str]], Outcome]


class Operations(Protocol):
    def begin(
        self,
        call: Call,
        prefix: str,
        watch: str,
        subject: Sequence[str],
        *,
        location: str | None = None,
        running: str = "Updating",
        minutes: int = 30,
    ) -> Mapping[str, str]:
        """Record an operation, and give the headers of the first answer (Azure-AsyncOperation, Location and its timeout).

        `prefix` is Azure's (`oeidp`, `od`, `bebes`, `bdbes`, `s`, `jc`, `compute`); `watch` the name under which a routes
        module registered its Watch, `subject` the names it gets; `location`: `resource` (the resource's own URL, of a PUT),
        `results` (of a DELETE or POST) or None; `running` the poll's status meanwhile."""
        ...

    def pending(self, served: Served, watch: str, subject: Sequence[str]) -> bool:
        """Whether the newest operation on `subject` has not ended yet for its pollers: until then the resource shows the
        state in between, even when the work is done."""
        ...
