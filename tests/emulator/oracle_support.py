"""Signed-in requests to the emulator as a management client makes them, and what a refusal holds."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

ASSETS, DATASTORES, WORKSPACES, CODES, COMPONENTS, MODELS = (
    "2023-04-01-preview", "2024-10-01-preview", "2024-10-01-preview", "2023-04-01", "2024-01-01-preview", "2023-08-01-preview"
)  # fmt: skip
JOBS, ONLINE, DEPLOYMENTS, BATCH, SCHEDULES = (
    "2024-01-01-preview", "2022-02-01-preview", "2023-04-01-preview", "2023-10-01", "2023-06-01-preview"
)  # fmt: skip


class Arm:
    """Signed-in requests below the workspace's ARM id, and below the emulator's root."""

    def __init__(self, emulator: Any) -> None:
        self.url = emulator.url
        self.id = (
            f"/subscriptions/{emulator.subscription}/resourceGroups/{emulator.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{emulator.workspace_name}"
        )
        # No parameters of its own: addresses that the emulator gives are asked as they are.
        self.client: httpx.Client = emulator.plain(headers={"authorization": f"Bearer {emulator.token()}"})

    def __call__(self, method: str, path: str, version: str, body: Any = None, **query: str) -> httpx.Response:
        return self.client.request(method, self.url + self.id + path, params={"api-version": version, **query}, json=body)

    def get(self, path: str, version: str, **query: str) -> Any:
        answer = self("GET", path, version, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def put(self, path: str, version: str, properties: Mapping[str, Any], status: int = 201, **top: Any) -> httpx.Response:
        answer = self("PUT", path, version, {"properties": dict(properties), **top})
        assert answer.status_code == status, answer.text
        return answer


def inner_codes(error: Mapping[str, Any]) -> list[str]:
    """The semantic codes of an ARM error, outermost first."""
    [inner] = [each["info"]["value"] for each in error["additionalInfo"] if each["type"] == "InnerError"]
    codes = []
    while inner:
        codes.append(inner["code"])
        inner = inner["innerError"]
    return codes


def refusal(answer: httpx.Response, status: int) -> Mapping[str, Any]:
    assert answer.status_code == status, answer.text
    error: Mapping[str, Any] = answer.json()["error"]
    return error


def new_name() -> str:
    return f"n{uuid.uuid4().hex[:12]}"


def signed_in(emulator: Any) -> Iterator[Arm]:
    found = Arm(emulator)
    yield found
    found.client.close()


def until(seconds: float, look: Callable[[], Any]) -> Any:
    """What `look` gives once it is not None."""
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)
    return found


def ended(arm: Arm, operation: str, seconds: float = 60) -> dict[str, Any]:
    """The operation's last poll."""

    def look() -> dict[str, Any] | None:
        poll: dict[str, Any] = arm.client.get(operation).json()
        return poll if poll["status"] in {"Succeeded", "Failed", "Canceled"} else None

    found: dict[str, Any] = until(seconds, look)
    return found
