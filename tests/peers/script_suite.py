"""Runs every script on Azure's server and on opsml's.

`python tests/peers/script_suite.py` writes docs/conformance-scripts.md."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import script_cases
import script_cases_packages
import script_servers
from peer_environments import python_of
from script_case import Case, Send
from script_differences import DIFFERENCES
from script_servers import Answer

PAGE = Path(__file__).parent.parent.parent / "docs" / "conformance-scripts.md"
SERVER = "azureml-inference-server-http 1.5.1"
CASES: tuple[Case, ...] = (*script_cases.ALL, *script_cases_packages.ALL)
_ALWAYS = ("content-type", "x-ms-run-function-failed")


@dataclass(frozen=True, slots=True)
class Compared:
    """One request of a case, or "" for whether it starts and what it logs. `unequal` names what differs."""

    case: str
    send: str
    unequal: tuple[str, ...]

    @property
    def reason(self) -> str | None:
        return DIFFERENCES.get((self.case, self.send))


def compared(case: Case, folder: Path, python: Path) -> list[Compared]:
    """`case` on both servers."""
    theirs = script_servers.microsoft(case, folder / "theirs", python)
    ours = script_servers.ours(case, folder / "ours", python)
    unequal = []
    if theirs.starts != ours.starts:
        unequal.append(f"starts: {theirs.starts} there, {ours.starts} here; {theirs.log[-500:]} / {ours.log[-500:]}")
    for name, log in (("there", theirs.log), ("here", ours.log)):
        unequal += [f"the log {name} lacks {text!r}: {log[-2000:]}" for text in case.logged if text not in log]
    found = [Compared(case.name, "", tuple(unequal))]
    for send, there, here in zip(case.sends, theirs.answers, ours.answers, strict=False):
        found.append(Compared(case.name, send.name, tuple(_unequal(send, there, here))))
    return found


def _unequal(send: Send, there: Answer, here: Answer) -> Iterator[str]:
    if there.status != here.status:
        yield f"status: {there.status} there, {here.status} here"
    if send.path == "/swagger.json":
        if _document(there.body) != _document(here.body):
            yield f"document: {_document(there.body)} there, {_document(here.body)} here"
        return
    if send.path != "/score":
        return  # the rest of the surface is the endpoint's own
    if there.body != here.body:
        yield f"body: {there.body[:300]!r} there, {here.body[:300]!r} here"
    for name in (*_ALWAYS, *send.shown):
        if there.headers.get(name) != here.headers.get(name):
            yield f"{name}: {there.headers.get(name)} there, {here.headers.get(name)} here"
    name = "x-ms-run-fn-exec-ms"
    if (name in there.headers) != (name in here.headers):
        yield f"{name} is in one of them alone"


def _document(body: bytes) -> Any:
    """What a document says of the bodies; the whole of it where the script's author wrote it."""
    try:
        found = json.loads(body)
    except ValueError:
        return body
    schemas = found.get("definitions") or found.get("components", {}).get("schemas")
    if schemas:
        return schemas.get("ServiceInput"), schemas.get("ServiceOutput")
    if "message" in found or "error" in found:
        return None
    return {name: value for name, value in found.items() if name not in ("host", "schemes", "servers")}


def run(folder: Path, python: Path, cases: tuple[Case, ...] = CASES) -> list[Compared]:
    """Every case, two at a time."""

    def one(number: int) -> list[Compared]:
        return compared(cases[number], folder / str(number), python)

    with ThreadPoolExecutor(2) as pool:
        return [each for found in pool.map(one, range(len(cases))) for each in found]


HEAD = """# Scoring scripts: compared with Azure's server

{scripts} folders of code run on {server}, in an environment of its own, and on opsml's server, with the same
Python, packages, variables and files. Compared is whether the script starts, and for every request the status, the body byte
for byte, the content type, `x-ms-run-function-failed`, whether `x-ms-run-fn-exec-ms` is there, and the headers that the script
sets. The cases are in `tests/peers/script_cases*.py`. `python tests/peers/script_suite.py` runs
them and writes this page; `pytest -m slow tests/peers` proves that it is true.

**{equal} of {all} are equal; the other {rest} differ on purpose:**
"""

SURFACE = """
## What is the endpoint's own

These differ for every script, because a local endpoint stands for Azure's front door too:

- Every request needs the endpoint's key (401 without), `/` and `/swagger.json` too. The script does not get to see the key.
- `x-ms-request-id` and `x-ms-client-request-id` are those of the endpoint; `azureml-model-deployment` names the deployment. The
  headers `server` and `x-ms-server-version` are not there.
- Bodies beyond the endpoint's limit (413) and requests beyond what may wait (429) do not reach the script; an answer that takes
  longer than a request may take (504) ends its process, and another one is started.
- `GET /swagger.json` gives OpenAPI 3.1 unless `?version=2` is asked for. A script without decorators gets a document that
  leaves its bodies open, where theirs says `object`.
- `config.json` and `logging.json` in the code folder are the script's own files: their server takes them for its settings.
- Of the server's variables, `SCORING_TIMEOUT_MS` and `WORKER_COUNT` are heeded; `AML_CORS_ORIGINS` and those of Application
  Insights are not.
- Lines that the script logs with `logging` at level info are in the log; their server drops them, unless the script sets
  logging up.
"""


def rendered(found: list[Compared]) -> str:
    differing = [each for each in found if each.unequal]
    lines = [
        HEAD.format(
            scripts=len({each.case for each in found}),
            server=SERVER,
            equal=len(found) - len(differing),
            all=len(found),
            rest=len(differing),
        ),
        "| script | request | why |",
        "|---|---|---|",
        *(f"| {each.case} | {each.send or 'whether it starts'} | {each.reason or '?'} |" for each in differing),
    ]
    return "\n".join(lines) + "\n" + SURFACE


if __name__ == "__main__":
    chosen = tuple(each for each in CASES if not sys.argv[1:] or sys.argv[1] in each.name)
    with tempfile.TemporaryDirectory() as temporary:
        everything = run(Path(temporary), python_of("azureml"), chosen)
    for each in everything:
        if bool(each.unequal) != bool(each.reason):
            print("##", each.case, "|", each.send, "|", each.unequal or "no longer differs")
    if len(chosen) == len(CASES):
        PAGE.write_text(rendered(everything), encoding="utf-8")
    print(sum(not each.unequal for each in everything), "of", len(everything))
