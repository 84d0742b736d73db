"""Raw scores from examples that the model keeps."""

from __future__ import annotations

from typing import Any

KINDS: dict[str, Any] = {}
