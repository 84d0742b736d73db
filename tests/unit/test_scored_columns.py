"""Answers of models that are no plain value a row: a DataFrame's rows, lists, and one answer for all rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from opsml_cli.domain.errors import ContractError, UsageError
from opsml_cli.domain.progress import Silent
from opsml_cli.domain.scoring import ScoredRows, ScorePlan
from opsml_cli.scoring_client import read_results
from opsml_cli.scoring_client.bodies import Whole, read_reply
from opsml_cli.services.score import Scoring
from opsml_cli.tables.row_batches import ListedRows
from opsml_cli.tables.writing import RowsFile

ROWS = [{"id": 7, "low": "kept"}, {"id": 8, "low": "kept"}]
FRAME = [{"low": 0.5, "high": 1, "label": ["ä", None]}, {"low": None, "high": 2, "label": {"a": 1}}]


class Answering:
    """A scorer whose batches have these parts."""

    types: Mapping[str, str] = {}
    classes: Sequence[object] = ()
    deployment, retried = "blue", 0

    def __init__(self, *parts: ScoredRows) -> None:
        self.parts = parts

    def score(self, batches: Any) -> Any:
        for part, _ in zip(self.parts, batches, strict=True):
            yield part


def written(path: Path, *parts: ScoredRows, keep: Sequence[str] = (), rows: Any = ROWS, size: int = 1000) -> Path:
    scoring: Any = Scoring(Answering(*parts), ListedRows(rows), ScorePlan(batch_rows=size), keep, Silent())  # type: ignore[arg-type]
    with RowsFile(str(path)) as file:
        scoring.file(str(path), file, open_columns=path.suffix in (".json", ".jsonl"))
    return path


def test_objects_become_columns_of_a_csv(tmp_path: Path) -> None:
    with written(tmp_path / "x.csv", ScoredRows(0, FRAME)).open(encoding="utf-8", newline="") as file:
        found = list(csv.reader(file))
    assert found == [["low", "high", "label"], ["0.5", "1", '["ä",null]'], ["", "2", '{"a":1}']]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_objects_become_members_of_json(tmp_path: Path, suffix: str) -> None:
    text = written(tmp_path / f"x{suffix}", ScoredRows(0, FRAME), keep=["id", "low"]).read_text(encoding="utf-8")
    found = json.loads(text) if suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    assert found[0] == {"id": 7, "low": "kept", "prediction.low": 0.5, "high": 1, "label": ["ä", None]}


def test_objects_become_columns_of_parquet(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(written(tmp_path / "x.parquet", ScoredRows(0, FRAME)))
    assert table.column_names == ["low", "high", "label"]
    assert table.to_pylist()[1] == {"low": None, "high": 2, "label": '{"a":1}'}


def test_lists_are_json_text_in_a_csv(tmp_path: Path) -> None:
    text = written(tmp_path / "x.csv", ScoredRows(0, [[1, 2.5], [True, "ü"]])).read_text(encoding="utf-8")
    assert text.splitlines() == ["prediction", '"[1,2.5]"', '"[true,""ü""]"']


def test_a_column_that_appears_later_is_not_dropped(tmp_path: Path) -> None:
    parts = (ScoredRows(0, [{"low": 1}]), ScoredRows(1, [{"low": 2, "new": 3}]))
    assert json.loads(written(tmp_path / "x.jsonl", *parts, size=1).read_text().splitlines()[1]) == {"low": 2, "new": 3}
    with pytest.raises(ContractError, match=r"row 1 .* has a column 'new'"):
        written(tmp_path / "x.csv", *parts, size=1)


def test_plain_results_still_collide_with_a_kept_prediction(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'prediction'"):
        written(tmp_path / "x.csv", ScoredRows(0, [1]), keep=["prediction"], rows=[{"prediction": 1}])


def test_one_answer_for_all_rows_is_shown_and_makes_no_rows(tmp_path: Path) -> None:
    part = ScoredRows(0, ["Zeile 2 · ok"], whole=2)
    scoring: Any = Scoring(Answering(part), ListedRows(ROWS), ScorePlan(), (), Silent())  # type: ignore[arg-type]
    found = scoring.result()
    assert (found.predictions, found.rows, scoring.whole) == (["Zeile 2 · ok"], 2, 1)
    with pytest.raises(ContractError, match='one answer for all 2 rows of a request, not one a row: "Zeile 2 · ok"'):
        written(tmp_path / "x.csv", part)
    assert not (tmp_path / "x.csv").exists()


@pytest.mark.parametrize("answer", ["Zeile 2 · ok", "", "12", 3.5, None, True, {"low": 1}])
def test_any_json_value_is_an_answer(answer: object) -> None:
    body = json.dumps(answer).encode()
    assert read_reply("bank", body, 2) == Whole(answer)
    with pytest.raises(ContractError, match="one answer for all 2 rows"):
        read_results("bank", body, 2)


def test_json_that_is_encoded_twice_is_read_and_an_error_in_it_is_one() -> None:
    assert read_results("bank", json.dumps(json.dumps({"result": [1, 2]})).encode(), 2) == [1, 2]
    with pytest.raises(ContractError, match="with an error: boom"):
        read_reply("bank", json.dumps(json.dumps({"error": "boom"})).encode(), 1)
    with pytest.raises(ContractError, match="no JSON"):
        read_reply("bank", b"Zeile", 1)
