"""What the one reader of JSON takes can be written again, and what it refuses is named."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.domain import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_can_be_written_is_read(value: object) -> None:
    assert json_text.read(json.dumps(value).encode()) == value
    assert json_text.read(json.dumps(value, ensure_ascii=False)) == value


@given(st.binary(max_size=200) | st.text(alphabet='"\\ud89abcdef{}[]:,0e+-.', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused_and_what_is_read_can_be_answered(content: bytes) -> None:
    try:
        value = json_text.read(content)
    except json_text.JsonError:
        return
    assert json.loads(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (rb'{"a": ["\ud800"]}', r"a text at a\[0\] holds half of a surrogate pair: \\ud800"),
        (rb'{"\udfff": 1}', "half of a surrogate pair"),
        (b'"\xed\xa0\x80"', "no UTF-8: byte 1"),
        (b'{"a": NaN}', "NaN is no JSON value"),
        (b"[-Infinity]", "-Infinity is no JSON value"),
        (b"1e999", "beyond all numbers"),
        (b"9" * 5000, "an integer of 5,000 digits"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b"[" * 150 + b"]" * 150, "nested too deeply"),
        (b'{"a": 1', "Expecting ',' delimiter"),
        (b"", "Expecting value"),
    ],
)
def test_what_is_refused_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(json_text.JsonError, match=reason):
        json_text.read(content)


def test_whole_pairs_and_a_byte_order_mark_are_fine() -> None:
    assert json_text.read(rb'"\ud83d\ude00"') == orjson.loads(rb'"\ud83d\ude00"') == "😀"
    assert json_text.read(b"\xef\xbb\xbf{}") == {}
