"""Large bodies: who may not send one is found out while it is still to come, and is told so."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from opsml_cli.emulator.app import EARLY_BYTES, _body
from opsml_cli.emulator.routes.blobs import ROUTES, target, write_blob
from opsml_cli.emulator.routing import Match
from opsml_cli.emulator.wire import WireError

PIECE = 1 << 18


def received(pieces: int, refuse: bool) -> tuple[bytes | None, list[int]]:
    """The body of so many pieces, and after how many bytes its sender was asked."""
    route = next(each for each in ROUTES if each.handler is write_blob)
    assert route.early is target
    given = 0
    asked: list[int] = []

    async def receive() -> MutableMapping[str, Any]:
        nonlocal given
        given += 1
        return {"type": "http.request", "body": b"x" * PIECE, "more_body": given < pieces}

    async def early() -> None:
        asked.append(given * PIECE)
        if refuse:
            raise WireError(403, "no")

    return asyncio.run(_body(receive, Match(route, {}), early)), asked


def test_a_small_body_is_taken_unasked() -> None:
    assert received(2, refuse=True) == (b"x" * (2 * PIECE), [])


def test_a_large_bodys_sender_is_asked_once() -> None:
    body, asked = received(40, refuse=False)
    assert body == b"x" * (40 * PIECE)
    assert asked == [EARLY_BYTES + PIECE]


def test_a_refused_body_is_read_to_its_end() -> None:
    with pytest.raises(WireError) as refused:
        received(40, refuse=True)
    assert refused.value.status == 403
