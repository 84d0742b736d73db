"""A report in a real browser: charts are drawn, nothing is asked for, and names that are code stay names."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from opsml_cli.cli.render.report_page import page
from opsml_cli.domain.job import AutoMLOutcome, BestTrial, Guardrail, Job, JobKind, JobState, Task, Trial
from opsml_cli.domain.report import (
    CalibrationBin,
    ClassCurves,
    ColumnShare,
    Confusion,
    CurvePoint,
    Dependence,
    GainPoint,
    JobReport,
    Predicted,
)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
REQUIRED = sys.platform == "linux" and os.environ.get("CI") == "true"
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER) and not REQUIRED, reason="no chromium and chromedriver here")

HOSTILE = "</title></style><script>document.title='ran'</script><img src=x onerror=\"document.title='ran'\">"
COLUMN = "::error::\x1b[31m\u202e<svg onload=alert(1)>&amp;'\""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    flags = ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
             "disable-component-update", "disable-sync", "disable-dev-shm-usage", "window-size=1000,2000",
             f"user-data-dir={tmp_path_factory.mktemp('chromium')}")  # fmt: skip
    for flag in flags:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def classes() -> JobReport:
    curves = ClassCurves(
        HOSTILE,
        tuple(CurvePoint(*point) for point in ((0, 0, 1), (0.1, 0.7, 0.6), (0.4, 0.9, 0.3), (1, 1, 0.1))),
        tuple(CurvePoint(*point) for point in ((0.2, 1, 0.9), (0.7, 0.8, 0.5), (1, 0.3, 0.1))),
        (CalibrationBin(0.1, 0.12, 40), CalibrationBin(0.8, 0.75, 20)),
        (GainPoint(0.3, 0.7, 2.3), GainPoint(1, 1, 1)),
    )
    outcome = AutoMLOutcome(
        task=Task.CLASSIFICATION,
        metric="AUC_weighted",
        best=BestTrial("0", HOSTILE, {"AUC_weighted": 0.9}),
        leaderboard=(Trial("0", HOSTILE, JobState.COMPLETED, {"AUC_weighted": 0.9}, 1.0, rank=1, detail=HOSTILE),),
        guardrails=(Guardrail("Target leakage", "failed", f"{COLUMN} AUC 0.990 with, 0.700 without {HOSTILE}"),),
        test_metrics={"AUC_weighted": 0.9},
        baseline_metrics={"AUC_weighted": 0.5},
        intervals={"AUC_weighted": (0.85, 0.95)},
        threshold=0.4,
    )
    job = Job("automl-1", JobKind.AUTOML, JobState.COMPLETED, HOSTILE, "local", "2026-01-01T00:00:00Z", automl=outcome,
              spec={"target_column": HOSTILE})  # fmt: skip
    dependence = (Dependence("age", (20, 40, 60.5), (0.2, 0.35, 0.3)), Dependence(COLUMN, (HOSTILE, "b"), (0.1, 0.4)))
    confusion = Confusion((HOSTILE, "no"), ((40, 3), (5, 60)))
    return JobReport(job, "test", {}, (curves,), confusion, (ColumnShare(COLUMN, 0.7), ColumnShare(HOSTILE, 0.3)),
                     dependence=dependence, dependence_of=HOSTILE)  # fmt: skip


def numbers() -> JobReport:
    report = classes()
    assert report.job.automl is not None
    automl = replace(report.job.automl, task=Task.REGRESSION, metric="r2_score", threshold=None)
    points = tuple(Predicted(value * 1e6, value * 1e6 + 7) for value in range(-20, 20))
    return JobReport(replace(report.job, automl=automl), "validation", {"r2_score": 0.9}, predictions=points)


def opened(browser, report: JobReport, tmp_path: Path) -> list[str]:
    """Shows the page; the addresses it asked for beside its own."""
    path = tmp_path / "report.html"
    path.write_bytes(page(report).encode("utf-8", "xmlcharrefreplace"))
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []
    asked = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    # The browser's own first page asks for parts of itself.
    return [url for url in asked if url != path.as_uri() and not url.startswith(("chrome:", "data:"))]


def drawn(browser) -> list[float]:
    """The lengths on screen of the charts' lines."""
    script = "return [...document.querySelectorAll('path.line')].map(line => line.getTotalLength())"
    return browser.execute_script(script)


def test_charts_are_drawn_and_hostile_names_are_text(browser, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    assert opened(browser, classes(), tmp_path) == []
    assert browser.title == "Report of automl-1"
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 0
    assert len(browser.find_elements(By.TAG_NAME, "img")) == 0
    lengths = drawn(browser)
    assert len(lengths) == 6, "ROC, precision-recall, calibration, gain, lift, dependence"
    assert all(length > 50 for length in lengths)
    colour = browser.find_element(By.CSS_SELECTOR, "path.line.c0").value_of_css_property("stroke")
    assert colour not in ("none", ""), "the style sheet fits its policy"
    assert len(browser.find_elements(By.CSS_SELECTOR, "circle.mark")) == 2
    bars = browser.find_elements(By.CSS_SELECTOR, "rect.bar")
    assert [round(bar.rect["width"] / bars[0].rect["width"], 2) for bar in bars] == [1.0, 0.43]
    assert HOSTILE in browser.find_element(By.ID, "confusion").text
    assert HOSTILE in browser.find_element(By.ID, "dependence-1").text
    checks = browser.find_element(By.ID, "checks").text
    assert "0.990 with, 0.700 without" in checks
    assert "<svg onload=alert(1)>&amp;'\"" in checks
    assert "\\x1b[31m" in checks
    assert "0.8500 to 0.9500" in browser.find_element(By.ID, "metrics").text
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_a_regression_has_its_two_charts(browser, tmp_path: Path) -> None:
    from selenium.webdriver.common.by import By

    assert opened(browser, numbers(), tmp_path) == []
    assert len(browser.find_elements(By.TAG_NAME, "svg")) == 2
    assert len(browser.find_elements(By.CSS_SELECTOR, "circle.dot")) == 80
    assert len(browser.find_elements(By.CSS_SELECTOR, "path.reference")) == 2


def test_the_policy_refuses_what_is_added_later(browser, tmp_path: Path) -> None:
    opened(browser, classes(), tmp_path)
    browser.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);"
    )
    assert browser.execute_script("return window.ran") is None
