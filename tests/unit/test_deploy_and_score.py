"""Names made for endpoints, traffic shared out, replies read and predictions written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsml_cli.domain import names
from opsml_cli.domain.endpoint import EndpointKeys
from opsml_cli.domain.errors import ContractError, InvalidInputError, UsageError
from opsml_cli.local.endpoint_records import EndpointRecord
from opsml_cli.local.serving.journal import Journal
from opsml_cli.scoring_client import batches, read_results
from opsml_cli.services.deploy import endpoint_name
from opsml_cli.services.endpoints import parse_traffic, shown


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}", fullmatch=True))
def test_every_model_name_gives_a_valid_endpoint_name(model: str) -> None:
    assert names.endpoint_name(endpoint_name(model))


@given(st.dictionaries(st.sampled_from(["one", "two", "three"]), st.integers(0, 100), min_size=1), st.integers(0, 100))
def test_shares_add_up(before: dict[str, int], share: int) -> None:
    record = EndpointRecord("id", "bank", "now", traffic=before)
    record.give("new", share)
    others = sum(before.values())
    assert sum(record.traffic.values()) == (100 if others or share else 0)
    assert record.traffic["new"] == (share if others else (100 if share else 0))
    assert all(percent >= 0 for percent in record.traffic.values())


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b'{"error": "boom"}',
        b'"{\\"error\\": \\"boom\\"}"',
        b'{"Results": [1]}',
        b'{"result": 3}',
        b"[1, 2, 3]",
        b"null",
    ],
)
def test_a_200_reply_that_is_none_is_a_failure(body: bytes) -> None:
    with pytest.raises(ContractError, match="'bank'"):
        read_results("bank", body, 2)


@pytest.mark.parametrize("body", [b"[1, 2]", b'{"Results": [1, 2]}', b'"{\\"result\\": [1, 2]}"'])
def test_every_dialect_s_reply_is_read(body: bytes) -> None:
    assert read_results("bank", body, 2) == [1, 2]


def test_rows_that_are_no_json_are_named() -> None:
    with pytest.raises(InvalidInputError, match="row 1"):
        list(batches([{"a": 1}, {"a": float("nan")}]))


@pytest.mark.parametrize(
    "texts", [["blue"], ["blue=x"], ["blue=-1"], ["=5"], ["blue=1", "blue=2"], ["blue=1000"], ["blue=1.5"]]
)
def test_traffic_that_is_none_is_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_traffic(texts)


def test_keys_are_masked_unless_revealed() -> None:
    keys = EndpointKeys("p" * 39 + "1234", "s" * 39 + "5678")
    masked = shown("bank", keys, reveal=False)
    assert masked.primary.endswith("1234") and "pp" not in masked.primary
    assert shown("bank", keys, reveal=True).secondary == keys.secondary
    assert "pp" not in repr(shown("bank", keys, reveal=True))


def test_the_journal_turns_over_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opsml_cli.local.serving.journal.ROTATE_BYTES", 2000)
    journal = Journal(tmp_path / "logs" / "server.jsonl")
    for number in range(100):
        journal.write("info", f"line {number} " + "x" * 100, "blue")
    files = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert len(files) <= 4 and "server.jsonl.3" in files
    newest = (tmp_path / "logs" / "server.jsonl.1").read_text().splitlines()[-1]
    assert json.loads(newest).keys() == {"timestamp", "level", "kind", "deployment", "message"}
