"""The synthetic twin has the real table's columns, balance and difficulty. The expected figures are those that
benchmarks/twin.py measures on the real table."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from opsml_cli.bank_marketing import twin

COLUMNS = [
    "age",
    "job",
    "marital",
    "education",
    "default",
    "housing",
    "loan",
    "contact",
    "month",
    "day_of_week",
    "duration",
    "campaign",
    "pdays",
    "previous",
    "poutcome",
    "emp.var.rate",
    "cons.price.idx",
    "cons.conf.idx",
    "euribor3m",
    "nr.employed",
    "y",
]
CATEGORIES = {
    "job": 12,
    "marital": 4,
    "education": 8,
    "default": 3,
    "housing": 3,
    "loan": 3,
    "contact": 2,
    "month": 10,
    "day_of_week": 5,
    "poutcome": 3,
    "y": 2,
}
REAL_AUC = 0.95
REAL_AUC_WITHOUT_DURATION = 0.80


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("twin") / "twin.csv"
    twin.write_twin(path)
    return path


@pytest.fixture(scope="module")
def table(path: Path):
    import pandas

    return pandas.read_csv(path, keep_default_na=False)


def test_columns_categories_and_balance_are_those_of_the_real_table(table) -> None:
    assert list(table.columns) == COLUMNS
    assert len(table) == 32_950
    assert {name: table[name].nunique() for name in CATEGORIES} == CATEGORIES
    assert (table["y"] == "yes").mean() == pytest.approx(3692 / 32950, abs=0.003)
    assert not table.isna().any().any()


def test_what_holds_in_every_real_row_holds_in_every_drawn_row(table) -> None:
    assert ((table["previous"] == 0) == (table["poutcome"] == "nonexistent")).all()
    assert ((table["housing"] == "unknown") == (table["loan"] == "unknown")).all()
    macro = ["month", "emp.var.rate", "cons.price.idx", "cons.conf.idx", "nr.employed"]
    assert len(table[macro].drop_duplicates()) == 26  # the months in which the bank called
    assert table["age"].between(17, 98).all()
    assert table["duration"].between(0, 4918).all()


def test_auc_with_and_without_duration_is_within_0_02_of_the_real_data(table) -> None:
    from lightgbm import LGBMClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import train_test_split

    label = (table["y"] == "yes").astype(int)
    features = table.drop(columns="y")
    for name in CATEGORIES.keys() & set(features):
        features[name] = features[name].astype("category")

    def auc(columns: list[str]) -> float:
        found = []
        for seed in (0, 1, 2):
            x, x_test, y, y_test = train_test_split(features[columns], label, test_size=0.2, stratify=label, random_state=seed)
            model = LGBMClassifier(random_state=seed, n_jobs=1, verbose=-1).fit(x, y)
            found.append(roc_auc_score(y_test, model.predict_proba(x_test)[:, 1]))
        return sum(found) / len(found)

    assert auc(list(features)) == pytest.approx(REAL_AUC, abs=0.02)
    assert auc([name for name in features if name != "duration"]) == pytest.approx(REAL_AUC_WITHOUT_DURATION, abs=0.02)


def test_the_same_seed_gives_the_same_file_and_another_seed_another(path: Path, tmp_path: Path) -> None:
    again, other = tmp_path / "again.csv", tmp_path / "other.csv"
    started = time.perf_counter()
    twin.write_twin(again)
    assert time.perf_counter() - started < 10  # measured: 0.4 s
    twin.write_twin(other, seed=1)
    assert again.read_bytes() == path.read_bytes()
    assert other.read_bytes() != path.read_bytes()


def test_no_row_of_the_real_table_is_copied(table) -> None:
    real = Path(__file__).parents[2] / "../shared/data/bank-marketing/bankmarketing_train.csv"
    if not real.exists():
        pytest.skip("the real table is not beside this checkout")
    import pandas

    known = set(map(tuple, pandas.read_csv(real, keep_default_na=False).astype(str).to_numpy()))
    drawn = set(map(tuple, table.astype(str).to_numpy()))
    # Two halves of the real table share 4 rows by chance; a copied row would be no chance.
    assert len(known & drawn) <= 2
