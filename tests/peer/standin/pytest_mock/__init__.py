"""The part of the `mocker` fixture that the tests use, over the standard library's mock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest


class _Patch:
    def __init__(self, patches: list[Any]) -> None:
        self._patches = patches

    def _start(self, patch: Any) -> Any:
        started = patch.start()
        self._patches.append(patch)
        return started

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._start(mock.patch(*arguments, **options))

    def object(self, *arguments: Any, **options: Any) -> Any:
        return self._start(mock.patch.object(*arguments, **options))

    def dict(self, *arguments: Any, **options: Any) -> Any:
        return self._start(mock.patch.dict(*arguments, **options))


class MockFixture:
    MagicMock = mock.MagicMock
    Mock = mock.Mock

    def __init__(self) -> None:
        self._patches: list[Any] = []
        self.patch = _Patch(self._patches)

    def stopall(self) -> None:
        while self._patches:
            self._patches.pop().stop()


@pytest.fixture
def mocker() -> Iterator[MockFixture]:
    made = MockFixture()
    yield made
    made.stopall()
