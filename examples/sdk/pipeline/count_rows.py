"""Count the rows of the CSV files in a folder."""

import argparse
import csv
import json
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--table", type=Path)
parser.add_argument("--counted", type=Path)
given = parser.parse_args()

rows = 0
for path in sorted(given.table.glob("*.csv")):
    with path.open(newline="", encoding="utf-8") as file:
        rows += sum(1 for _ in csv.DictReader(file))
print("rows:", rows)
given.counted.mkdir(parents=True, exist_ok=True)
(given.counted / "rows.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
