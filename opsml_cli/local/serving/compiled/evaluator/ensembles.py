"""Predictors made of other predictors."""

from __future__ import annotations

from typing import Any

KINDS: dict[str, Any] = {}
