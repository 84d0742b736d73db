"""Transformers that mix or reshape numbers."""

from __future__ import annotations

from .flow import TransformerReader

TRANSFORMERS: dict[str, TransformerReader] = {}
