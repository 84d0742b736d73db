"""Split a table into rows to train on and rows that no model has seen."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

MLTABLE = """type: mltable
paths:
  - file: ./rows.csv
transformations:
  - read_delimited:
      delimiter: ","
      encoding: utf8
      header: all_files_same_headers
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--test-share", type=float, default=0.2)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    arguments = parser.parse_args()
    rows = pd.read_csv(arguments.data, sep=None, engine="python", keep_default_na=False)
    train, test = train_test_split(rows, test_size=arguments.test_share, stratify=rows["y"], random_state=0)
    arguments.train.mkdir(parents=True, exist_ok=True)
    arguments.test.mkdir(parents=True, exist_ok=True)
    train.to_csv(arguments.train / "rows.csv", index=False)
    (arguments.train / "MLTable").write_text(MLTABLE, encoding="utf-8")
    test.to_csv(arguments.test / "rows.csv", index=False)
    print(f"{len(train)} rows to train on, {len(test)} to test on")


if __name__ == "__main__":
    main()
