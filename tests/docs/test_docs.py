"""The documentation agrees with the code, and every command in it parses."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/bank-marketing"
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
TEXTS = [
    *PAGES,
    ROOT / "NOTICE",
    ROOT / "pyproject.toml",
    *(path for path in EXAMPLE.iterdir() if path.is_file()),
    *ROOT.glob(".github/**/*.*"),
    ROOT / ".ci/run",
]


def test_the_pages_made_from_code_agree_with_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docs.generate", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _lines() -> Iterator[tuple[str, str]]:
    """Every `opsml …` command of a code block, a script or a CI file, without comments and redirections."""
    for path in TEXTS:
        text = path.read_text("utf-8")
        if path.suffix == ".md":
            text = "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
        elif path.suffix not in (".sh", ".yml", ".py"):
            continue
        for line in text.splitlines():
            found = re.search(r"(?:^|\$\(|\$ |# |run: |script: |&& |bin/)(opsml .*)$", line.strip())
            if found:
                words = found[1].partition(")")[0] if "$(" in line else found[1]
                yield path.relative_to(ROOT).as_posix(), re.split(r" +(?:#|&&|[|]|>|2>) ?", words)[0]


def test_every_command_in_the_documentation_parses() -> None:
    from opsml_cli.cli.app import parse

    seen = 0
    for where, line in _lines():
        try:
            # A variable stands for a value that would be right: a duration is one for every text option too.
            words = [re.sub(r"^\$\w+$", "60s", word) for word in shlex.split(line)[1:]]
            assert parse(words) is not None or "--help" in words or "--version" in words
        except Exception as error:
            raise AssertionError(f"{where}: {line}: {error}") from error
        seen += 1
    assert seen > 60  # the reference page alone has one for each command


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_nobody_is_told_to_install_a_strangers_package() -> None:
    wrong = re.compile(r"(pip|uv|pipx)3? (install|add)\b[^\n&|]*\s['\"]?(opsml|opsml-cli|opsml-client)(?![\w/.-])")
    for path in TEXTS:
        assert not wrong.search(path.read_text("utf-8")), path
    assert wrong.search("pip install -U opsml")  # the pattern finds what it is for


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {
        re.match(r"[A-Za-z0-9_.-]+", text)[0] for text in (*project["dependencies"], *project["optional-dependencies"]["dev"])
    }
    reasons = re.findall(r"^\| `([\w.-]+)` \| \S.+\|$", (ROOT / "docs/dependencies.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(reasons) == sorted(names)


def test_the_ci_runs_the_readmes_own_test_command() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    block = re.search(r"<!-- test command -->\n```bash\n(.+)\n```", readme)
    assert block is not None
    assert block[1] == "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/pytest"
    assert "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/opsml demo\n" in readme
    taken = subprocess.run(
        ["bash", "-c", "sed -n '/<!-- test command -->/,/```$/p' README.md | grep -m1 pytest"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert taken.stdout.strip() == block[1]
    assert "sed -n '/<!-- test command -->/,/```$/p' README.md | grep -m1 'pytest'" in (ROOT / ".ci/run").read_text("utf-8")


def test_the_data_is_cited() -> None:
    for name in ("README.md", "NOTICE"):
        text = " ".join((ROOT / name).read_text("utf-8").split())
        for words in ("S. Moro, P. Cortez, P. Rita", "Predict the Success of Bank Telemarketing", "UCI", "CC BY 4.0", "twin"):
            assert words in text, f"{name}: {words}"


def test_the_examples_pipeline_is_the_one_the_demo_publishes() -> None:
    bundled = ROOT / "opsml_cli/bank_marketing/pipeline"
    files = sorted(path.name for path in bundled.iterdir() if path.is_file())
    assert files == ["evaluate.py", "pipeline.yml", "prepare.py"]
    for name in files:
        assert (EXAMPLE / name).read_bytes() == (bundled / name).read_bytes(), name


def test_the_request_file_names_the_tables_columns() -> None:
    from opsml_cli.bank_marketing import twin

    request = json.loads((EXAMPLE / "request.json").read_text("utf-8"))["input_data"]
    assert request["columns"] == twin.tables()["columns"][:-1]
    assert all(len(row) == len(request["columns"]) for row in request["data"])


def test_the_notebook_is_sound_json_without_output() -> None:
    cells = json.loads((EXAMPLE / "bank-marketing.ipynb").read_text("utf-8"))["cells"]
    assert all(not cell.get("outputs") for cell in cells if cell["cell_type"] == "code")


def test_the_tests_that_the_security_page_names_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs/security-tests.md").read_text("utf-8"))
    assert len(named) > 20
    for path, test in named:
        assert (ROOT / path).is_file(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), f"{path}::{test}"
