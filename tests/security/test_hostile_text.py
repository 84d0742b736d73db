"""Text of strangers (column names, values, what a step prints) as real commands show it: it runs no command of a CI system
and moves no cursor, on either stream and in every form for people and scripts."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline_support import cleaned, written

from opsml_cli.local.workspace import LocalWorkspace

# What GitHub's and Azure's runners look for in a line.
COMMAND = re.compile(r"^\s*::[a-z]|##\[|##vso\[", re.MULTILINE | re.IGNORECASE)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
HOSTILE = ("::set-env name=PATH::/evil", "##vso[task.setvariable variable=x]y", "##[command]z", "::add-mask::a", "\x9b2Jx")
CI = ({"GITHUB_ACTIONS": "true"}, {"TF_BUILD": "True"})
# Our own annotations and outputs; they carry text escaped behind their head.
OWN = re.compile(r"::error title=opsml::|##vso\[task\.(logissue type=error|setvariable variable=\w+;isOutput=true)\]")


@pytest.fixture
def local(workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    with cleaned(workspace):
        yield workspace


def harmless(text: str) -> None:
    for line in text.splitlines():
        # A line that begins with a command of ours is read as that one alone.
        assert OWN.match(line) or not COMMAND.search(line), text
        assert not CONTROL.search(line), text


@pytest.mark.parametrize(("environment", "form"), [(CI[0], "table"), (CI[1], "tsv")], ids=["github-table", "azure-tsv"])
@pytest.mark.slow
def test_tables_of_strangers(opsml, tmp_path: Path, environment: dict[str, str], form: str) -> None:
    names = ",".join(f'"{text}"' for text in HOSTILE)
    rows = "\n".join(",".join(f'"{text}"' for text in HOSTILE) for _ in range(5))
    (tmp_path / "t.csv").write_text(f"{names},y\n" + rows.replace("\n", ",a\n") + ",b\n")
    registered = opsml("data", "register", "t", "t.csv", "--target-column", "y", "--description", HOSTILE[0], env=environment)
    assert registered.exit_code == 0, registered.stderr
    for words in (("data", "show", "t"), ("data", "profile", "t"), ("data", "list"), ("data", "register", "t", "t.csv")):
        ran = opsml(*words, "-o", form, env=environment)
        assert ran.exit_code == 0, ran.stderr
        harmless(ran.stdout)
        harmless(ran.stderr)
    shown = opsml("data", "show", "t", "-o", "json", env=environment).stdout
    harmless(shown)
    assert [column["name"] for column in json.loads(shown)["profile"]["columns"]][: len(HOSTILE)] == list(HOSTILE)
    wrong = opsml("data", "profile", "t", "--target-column", HOSTILE[0], env=environment)
    harmless(wrong.stdout)
    harmless(wrong.stderr)


@pytest.mark.parametrize("environment", CI, ids=lambda environment: next(iter(environment)))
@pytest.mark.slow
def test_what_a_step_prints(opsml, local: LocalWorkspace, tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "p" / "src").mkdir(parents=True)
    (tmp_path / "p" / "src" / "say.py").write_text(
        f"import sys\nfor text in {HOSTILE!r}: print(text, chr(27), flush=True)\nsys.exit(3)\n"
    )
    pipeline = written(tmp_path / "p", "type: pipeline\njobs:\n  a:\n    code: src\n    command: python say.py\n")
    failed = opsml("pipeline", "run", pipeline, env=environment)
    assert failed.exit_code == 9, failed.stderr
    harmless(failed.stdout)
    harmless(failed.stderr)
    [run] = [job.name for job in local.jobs.list() if job.kind == "pipeline"]
    # Every command and every form; each pair of them would take as many processes again, and go the same way.
    for form, *words in (
        ("table", "jobs", "logs", run),
        ("table", "jobs", "show", run),
        ("tsv", "jobs", "show", run),
        ("tsv", "jobs", "list"),
        ("jsonl", "jobs", "logs", run),
    ):
        ran = opsml(*words, "-o", form, env=environment)
        assert ran.exit_code == 0, ran.stderr
        harmless(ran.stdout)
        harmless(ran.stderr)
    assert "setvariable" in opsml("jobs", "show", run, env=environment).stdout, "the step's words are not shown at all"
