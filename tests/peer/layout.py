"""The folder that the SDK's tests run in: their code from the source distribution, and configurations of our own.

The source distribution carries no YAML, CSV or model; every test names the file it loads, and what it needs of it shows in
what it asserts. Tables and the pickled model are generated here, so no data is kept either."""

from __future__ import annotations

import shutil
from pathlib import Path

HERE = Path(__file__).parent


def lay_out(sdist: Path, folder: Path) -> Path:
    """Make `folder` the tests' working directory; its `tests` is what they import and read."""
    tests = folder / "tests"
    shutil.copytree(sdist / "tests", tests)
    configs = tests / "test_configs"
    shutil.copytree(HERE / "configs", configs, dirs_exist_ok=True)
    _tables(configs / "automl_job" / "test_datasets")
    _regression_model(configs / "deployments" / "model-1" / "model")
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


def _tables(folder: Path) -> None:
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)

    def bank(rows: int) -> pd.DataFrame:
        table = pd.DataFrame(
            {
                "age": draw.integers(18, 90, rows),
                "job": draw.choice(["admin.", "technician", "services", "retired"], rows),
                "marital": draw.choice(["married", "single"], rows),
                "duration": draw.integers(0, 3000, rows),
                "euribor3m": draw.normal(3.6, 1.7, rows).round(3),
            }
        )
        likely = table["duration"] / 3000 + (table["job"] == "retired") * 0.3 + draw.normal(0, 0.15, rows)
        table["y"] = np.where(likely > 0.6, "yes", "no")
        return table

    bank(400).to_csv(folder / "bank_marketing" / "train" / "data.csv", index=False)
    bank(150).to_csv(folder / "bank_marketing" / "valid" / "data.csv", index=False)

    rows = 240
    machines = pd.DataFrame(
        {
            "VendorName": draw.choice(["adviser", "amdahl", "apollo", "basf"], rows),
            "MYCT": draw.integers(17, 1500, rows),
            "MMIN": draw.integers(64, 32000, rows),
            "MMAX": draw.integers(64, 64000, rows),
            "CACH": draw.integers(0, 256, rows),
            "CHMIN": draw.integers(0, 52, rows),
            "CHMAX": draw.integers(0, 176, rows),
        }
    )
    machines["ERP"] = (0.004 * machines["MMAX"] + 0.6 * machines["CACH"] + draw.normal(0, 9, rows)).round(1)
    machines.to_csv(folder / "machine_data" / "train" / "data.csv", index=False)


def _regression_model(folder: Path) -> None:
    """What the deployments' score.py loads: a scikit-learn regression over ten columns."""
    import joblib
    import numpy as np
    from sklearn.linear_model import LinearRegression

    draw = np.random.default_rng(0)
    columns = draw.normal(size=(60, 10))
    folder.mkdir(parents=True)
    joblib.dump(LinearRegression().fit(columns, columns @ np.arange(10.0)), folder / "sklearn_regression_model.pkl")
