"""Score inputs that are one JSON object: a request body in any dialect, or one row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.tables.rows import read_rows

ROWS = [{"age": 30, "job": "admin."}, {"age": None, "job": "services"}]


@pytest.mark.parametrize(
    "body",
    [
        {"input_data": {"columns": ["age", "job"], "index": [0, 1], "data": [[30, "admin."], [None, "services"]]}},
        {"input_data": ROWS},
        {"Inputs": {"data": ROWS}, "GlobalParameters": {"method": "predict_proba"}},
        {"data": ROWS, "method": "predict"},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_request_body_is_its_rows(tmp_path: Path, body: object, indent: int | None) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps(body, indent=indent))
    assert read_rows(path) == ROWS


def test_one_object_over_several_lines_is_one_row(tmp_path: Path) -> None:
    path = tmp_path / "row.json"
    path.write_text(json.dumps(ROWS[0], indent=2))
    assert read_rows(path) == ROWS[:1]


def test_json_lines_stay_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))
    assert read_rows(path) == ROWS


def test_a_request_body_with_a_ragged_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"input_data": {"columns": ["age", "job"], "data": [[30]]}}, indent=1))
    with pytest.raises(InvalidInputError, match=r"request\.json: row 0 has 1 values for 2 columns"):
        read_rows(path)
