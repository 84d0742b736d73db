"""The MLflow suite: every case on MLflow's own scoring server and on opsml.

`python tests/peers/mlflow_suite.py` writes the page docs/conformance-mlflow.md from a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from mlflow_cases import CASES, Case

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "conformance-mlflow.md"
QUIET = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
# Two versions of one model, whose modules have one name: they never share a process, on either side.
SECOND_VERSION = "shift_2"


@dataclass(frozen=True, slots=True)
class Outcome:
    case: Case
    theirs: tuple[int, Any]
    ours: tuple[int, Any]

    @property
    def equal(self) -> bool:
        """Of one status; of one body when it is a prediction. `repr` tells 1 from 1.0 and true."""
        if self.theirs[0] != self.ours[0]:
            return False
        return self.ours[0] != 200 or repr(self.theirs[1]) == repr(self.ours[1])


def make_models(python: Path, folder: Path) -> None:
    done = subprocess.run(
        [python, HERE / "mlflow_models.py", folder], env=QUIET, capture_output=True, text=True, timeout=300, check=False
    )
    assert (folder / "made").exists(), done.stderr[-3000:]


def models(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/MLmodel"))


@contextmanager
def servers(python: Path, folder: Path) -> Iterator[dict[str, str]]:
    """MLflow's server; the address of each model's `invocations`."""
    names = models(folder)
    addresses: dict[str, str] = {}
    with ExitStack() as stack:
        for share in ([name for name in names if name != SECOND_VERSION], [name for name in names if name == SECOND_VERSION]):
            if not share:
                continue
            command = [str(python), str(HERE / "mlflow_server.py"), str(folder), *share]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=QUIET)
            stack.callback(process.wait)
            stack.callback(process.kill)
            assert process.stdout is not None
            port = int(process.stdout.readline())
            addresses |= {name: f"http://127.0.0.1:{port}/{name}/invocations" for name in share}
        yield addresses


class Responders:
    """Our side, in processes of the project's own interpreter."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._processes = [self._start(folder, stack) for _ in range(2)]

    @staticmethod
    def _start(folder: Path, stack: ExitStack) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / "mlflow_responders.py"), str(folder)]
        environment = {**QUIET, "PYTHONPATH": str(HERE.parents[1])}
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        return process

    def answer(self, model: str, body: Any) -> tuple[int, str]:
        process = self._processes[model == SECOND_VERSION]
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([model, body]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"the process that answers for {model} ended"
        status, text = json.loads(line)
        return status, text


def run(python: Path, folder: Path, cases: Sequence[Case] = CASES) -> list[Outcome]:
    outcomes = []
    with ExitStack() as stack:
        addresses = stack.enter_context(servers(python, folder))
        ours = Responders(folder, stack)
        client = stack.enter_context(httpx.Client(timeout=60, trust_env=False))
        for case in cases:
            theirs = client.post(
                addresses[case.model], content=json.dumps(case.theirs), headers={"content-type": "application/json"}
            )
            body = theirs.json()["predictions"] if theirs.status_code == 200 else theirs.text[:300]
            outcomes.append(Outcome(case, (theirs.status_code, body), result(case, *ours.answer(case.model, case.ours))))
    return outcomes


def result(case: Case, status: int, text: str) -> tuple[int, Any]:
    """The prediction in a reply of ours, whatever its dialect."""
    document = json.loads(text)
    if status == 200 and "Inputs" in case.ours:
        document = document["Results"]
    elif status == 200 and "data" in case.ours:
        document = json.loads(document)["result"]
    return status, document


HEAD = """# MLflow models beside MLflow's own server

The same model folders and the same requests on MLflow {version}'s scoring server and on opsml. A request is counted as equal
when the status is the same and, for a prediction, the whole body is. opsml takes the dialects of Azure
(`{{"input_data": ...}}`) where MLflow takes its own (`dataframe_split`, `dataframe_records`, `inputs`, `instances`).

**{equal} of {all} requests over {models} models are equal.** The other {rest} differ for the reasons below; a request that is
named here and does not differ any more fails the suite. This page is written by `python tests/peers/mlflow_suite.py`.

| model | requests | equal |
|---|---|---|
"""


def rendered(outcomes: Sequence[Outcome], version: str) -> str:
    equal = sum(each.equal for each in outcomes)
    names = list(dict.fromkeys(each.case.model for each in outcomes))
    text = HEAD.format(version=version, equal=equal, all=len(outcomes), rest=len(outcomes) - equal, models=len(names))
    for name in names:
        of = [each for each in outcomes if each.case.model == name]
        text += f"| `{name}` | {len(of)} | {sum(each.equal for each in of)} |\n"
    text += "\n## What differs\n"
    reasons = dict.fromkeys(each.case.difference for each in outcomes if not each.equal)
    for reason in reasons:
        text += f"\n{reason}:\n\n"
        for each in outcomes:
            if not each.equal and each.case.difference == reason:
                text += f"- `{each.case.model}`: {each.case.name} (MLflow {each.theirs[0]}, opsml {each.ours[0]})\n"
    return text


def version_of(python: Path) -> str:
    code = "import importlib.metadata as m; print(m.version('mlflow'))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    from peer_environments import python_of

    mlflow = python_of("mlflow")
    with tempfile.TemporaryDirectory() as place:
        make_models(mlflow, Path(place) / "models")
        found = run(mlflow, Path(place) / "models")
    wrong = [each.case.label for each in found if each.equal == bool(each.case.difference)]
    assert not wrong, wrong
    PAGE.write_text(rendered(found, version_of(mlflow)), encoding="utf-8")
