"""What the SDK's end-to-end tests import of their own test tools: always live, nothing is recorded, so nothing is sanitised."""

from __future__ import annotations

from typing import Any


class AzureRecordedTestCase:
    """The tests' base class; what they need of it is its name."""


def is_live() -> bool:
    return True


def _nothing(*_: Any, **__: Any) -> None:
    """Recording is what these calls are for."""


add_body_key_sanitizer = add_general_regex_sanitizer = add_general_string_sanitizer = _nothing
add_remove_header_sanitizer = add_uri_regex_sanitizer = remove_batch_sanitizers = _nothing
set_bodiless_matcher = set_custom_default_matcher = _nothing
