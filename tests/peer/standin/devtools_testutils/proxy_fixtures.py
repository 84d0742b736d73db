"""Names and variables of the tests' run, as the recorder would hand them out without a recording."""

from __future__ import annotations


class VariableRecorder:
    def get_or_record(self, variable: str, default: str) -> str:
        return default


class EnvironmentVariables:
    def __init__(self, values: dict[str, str]) -> None:
        self._values = values

    def get(self, name: str) -> str | None:
        return self._values.get(name)

    def sanitize_batch(self, _: dict[str, str]) -> dict[str, str]:
        """The real values: live tests are not sanitised."""
        return self._values
