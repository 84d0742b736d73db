"""What a command gets: the workspace, settings and progress of this run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from opsml_cli.cli.global_options import Globals

if TYPE_CHECKING:
    from opsml_cli.cli.output import Output
    from opsml_cli.domain.progress import Progress
    from opsml_cli.domain.workspace import Workspace
    from opsml_cli.settings import Loaded, Settings


class Session:
    """One run of one command. Everything here is made on first use."""

    def __init__(self, options: Globals, output: Output, environment: Mapping[str, str] | None = None) -> None:
        self.options = options
        self.output = output
        self.environment = os.environ if environment is None else environment

    @cached_property
    def loaded(self) -> Loaded:
        """The settings with the origin of each value. ConfigError when one is wrong."""
        from opsml_cli import settings

        loaded = settings.load(self.environment, workspace=self.options.workspace)
        self.output.masking.add_all(loaded.secrets())
        return loaded

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace that -w, the environment or a settings file chose."""
        from opsml_cli import workspaces

        return workspaces.open_workspace(self.loaded)

    @cached_property
    def progress(self) -> Progress:
        """Tells on stderr what long work does; nothing with --quiet."""
        from opsml_cli.cli.progress import progress_for

        return progress_for(self.output)

    @property
    def interactive(self) -> bool:
        """Whether somebody is there to be asked: stdin is a terminal, and neither --no-input nor CI says otherwise."""
        ci = self.environment.get("CI", "").lower() not in ("", "0", "false")
        return not self.options.no_input and not ci and sys.stdin is not None and sys.stdin.isatty()

    def confirm(self, text: str, *, yes: bool) -> None:
        """Return when `yes`, or when the person at the terminal agrees to `text` (a question).

        UsageError naming --yes when there is nobody to ask, or when the answer is no."""
        from opsml_cli.domain.errors import UsageError

        if yes:
            return
        if not self.interactive:
            raise UsageError(f"{text} Nobody is here to ask.", fix="add --yes to the command")
        self.output.ask(f"{text} [y/N] ")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise UsageError("not confirmed; nothing was changed", fix="answer y, or add --yes")

    def require(self, value: str | None, flag: str, variable: str | None = None) -> str:
        """`value`, or what the person at the terminal types; UsageError naming `flag` and `variable` when nobody is there."""
        from opsml_cli.domain.errors import UsageError

        if value:
            return value
        if self.interactive:
            self.output.ask(f"{flag.lstrip('-')}: ")
            given = sys.stdin.readline().strip()
            if given:
                return given
        ways = f"give {flag}" + (f" or set {variable}" if variable else "")
        raise UsageError(f"{flag} is missing", fix=ways)

    def announce(self) -> None:
        """Say on stderr which workspace a changing verb acts on, and where that came from."""
        workspace = self.workspace
        origin = self.loaded.origins.get("workspace", "default")
        self.output.note(f"workspace: {workspace.name} ({workspace.location}), from {origin}")
        signed_in = workspace.signed_in()
        if signed_in is not None:
            self.output.note(signed_in)
        if workspace.kind == "local" and self.loaded.azure_complete():
            self.output.hint("the Azure settings are complete but unused here; add -w azure to act there")
