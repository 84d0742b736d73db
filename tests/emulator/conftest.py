"""An emulator in this process: real HTTPS on a free loopback port, over a local workspace in a temporary folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from emulator_support import Emulated, emulated


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    """One for all tests of the module, at the pace `fast`."""
    with emulated(tmp_path_factory.mktemp("emulator")) as found:
        yield found


@pytest.fixture
def emulate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Emulated]]:
    """Makes emulators for one test alone: `emulate(pace="azure", clock=…)`."""
    with ExitStack() as stack:

        def make(**options: Any) -> Emulated:
            return stack.enter_context(emulated(tmp_path_factory.mktemp("emulator"), **options))

        yield make
