"""`opsml swagger`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.result import Verdict
from opsml_cli.cli.saving import write_whole
from opsml_cli.cli.session import Session
from opsml_cli.domain.errors import ContractError, UsageError


def swagger(
    session: Session,
    endpoint: options.EndpointName,
    save: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Write the document to a file.")] = None,
    ui: Annotated[bool, typer.Option("--ui", help="Serve Swagger UI with a working 'Try it out', until interrupted.")] = False,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port of --ui; 0 is a free one.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="With --ui: print the address, open nothing.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compare the document with live replies; exit 7 if they differ.")
    ] = False,
) -> object:
    """Print the OpenAPI document of an endpoint, save it, check it against live replies, or try it out in a browser.

    Example: opsml swagger bank --ui
    """
    chosen = [flag for flag, given in (("--save", save is not None), ("--ui", ui), ("--check", check)) if given]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} do not go together", fix="give one of them")
    if not ui and (port or no_browser):
        raise UsageError(f"{'--port' if port else '--no-browser'} belongs to --ui", fix="add --ui")
    if ui:
        _serve(session, endpoint, port, no_browser)
        return None
    if check:
        return _check(session, endpoint)
    from opsml_cli.services.swagger import SwaggerDocument

    document = SwaggerDocument(endpoint, session.workspace.online_endpoints.swagger(endpoint))
    return document if save is None else _save(document, save)


def _check(session: Session, endpoint: str) -> Verdict:
    from opsml_cli.services.swagger import check

    found = check(session.workspace, endpoint)
    if found.ok:
        return Verdict(found)
    count = len(found.findings)
    return Verdict(
        found,
        ContractError(
            f"the document of {endpoint!r} and its live replies differ in {count} {'point' if count == 1 else 'points'}",
            cause=f"{found.findings[0].check}: {found.findings[0].detail}",
        ),
    )


def _save(document: object, target: Path) -> object:
    import json

    from opsml_cli.services.swagger import SavedDocument, SwaggerDocument

    assert isinstance(document, SwaggerDocument)
    content = (json.dumps(document.document, indent=2, ensure_ascii=False) + "\n").encode()
    write_whole(target, content)
    return SavedDocument(document.endpoint, str(target), len(content))


def _serve(session: Session, endpoint: str, port: int, no_browser: bool) -> None:
    from opsml_cli.services.swagger import SwaggerUi

    def ready(url: str) -> None:
        session.output.result(SwaggerUi(endpoint, url))
        session.progress.note("Ctrl-C ends it")
        if not no_browser and session.interactive:
            _open(url)

    session.workspace.online_endpoints.serve_swagger_ui(endpoint, port, ready)


def _open(url: str) -> None:
    """Show the page in a browser with a window of its own; one that would take the terminal is left alone."""
    import os
    import webbrowser

    if sys.platform not in ("win32", "darwin") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    try:
        webbrowser.open(url)
    except webbrowser.Error:
        return
