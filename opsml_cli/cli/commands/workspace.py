"""`opsml workspace …`"""

from __future__ import annotations

from opsml_cli.cli.session import Session
from opsml_cli.workspaces import Choice, choose


def show(session: Session) -> Choice:
    """Show the workspace that commands act on, and why it is that one.

    Example: opsml workspace show -o json
    """
    return choose(session.loaded)
