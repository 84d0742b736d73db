"""Run the SDK's own end-to-end tests against the emulator, and state in docs/peer-tests.md how many pass.

    python tests/peer/run.py                    every suite, then the page
    python tests/peer/run.py --resume           the same, without the suites that an earlier run of this checkout got through
    python tests/peer/run.py --suite data -k list    some tests, without the page

The tests come from the source distribution of the installed SDK, which is fetched into build/peer and never committed."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]

from certificates import issue  # noqa: E402
from emulator_support import emulated  # noqa: E402
from furniture import furnish  # noqa: E402
from layout import lay_out  # noqa: E402
from page import write_page  # noqa: E402
from proxy import HOSTS, serving  # noqa: E402
from reasons import why_not_run  # noqa: E402
from sdist import Unreachable, fetched  # noqa: E402
from suites import SUITES  # noqa: E402

from opsml_cli.emulator.identity import ML_AUDIENCE  # noqa: E402
from opsml_cli.local.storage.account import account_key  # noqa: E402

CACHE = CHECKOUT / "build" / "peer"
RESULTS = CACHE / "results"  # a file a suite


@dataclass(frozen=True, slots=True)
class Result:
    """How one test ended: passed, failed, skipped (by the test itself) or not run (by us), and why."""

    suite: str
    test: str
    outcome: str
    reason: str = ""


def run(
    suites: Sequence[str],
    select: Sequence[str] = (),
    keep: Path | None = None,
    ended: Callable[[str, list[Result]], None] = lambda suite, results: None,
) -> list[Result]:
    """The results of `suites`, in their order; `ended` is told those of each. Unreachable when the package index gives no
    source distribution."""
    sdist = fetched(CACHE)
    with tempfile.TemporaryDirectory(prefix="opsml-peer-") as made:
        folder = keep or Path(made)
        work = lay_out(sdist, folder / "work")
        with _emulator(folder) as environment:
            results = []
            for suite in suites:
                found = _suite(suite, work, environment, select)
                ended(suite, found)
                results += found
    return results


@contextmanager
def _emulator(folder: Path) -> Iterator[dict[str, str]]:
    """An emulator with what the tests find in their own workspace, the proxy before it, and the variables that lead there."""
    site = folder / "site"
    site.mkdir()
    with emulated(site, trust=True) as emulator:
        with emulator.client() as client:
            furnish(client, emulator.ws)
        root, certificate = issue(folder, HOSTS)
        key = account_key(emulator.workspace.layout)
        with serving(emulator.url, ML_AUDIENCE, emulator.bundle, certificate, key) as proxy:
            bundle = folder / "roots.pem"
            bundle.write_bytes(root.read_bytes() + emulator.bundle.read_bytes())
            home = folder / "home"
            home.mkdir(exist_ok=True)
            kept = ("PATH", "LANG", "TMPDIR", "OMP_NUM_THREADS", "OPSML_TEST_SESSION")
            yield {name: os.environ[name] for name in kept if name in os.environ} | {
                "HOME": str(home),
                "HTTPS_PROXY": proxy,
                "NO_PROXY": "localhost,127.0.0.1",
                "REQUESTS_CA_BUNDLE": str(bundle),
                "SSL_CERT_FILE": str(bundle),
                "ML_SUBSCRIPTION_ID": emulator.subscription,
                "ML_RESOURCE_GROUP": emulator.resource_group,
                "ML_WORKSPACE_NAME": emulator.workspace_name,
                "ML_TENANT_ID": emulator.names.tenant,
                "ML_CLIENT_ID": emulator.application.client_id,
                "ML_CLIENT_SECRET": emulator.secret,
                "ML_TEST_STORAGE_ACCOUNT_NAME": "someaccount",
                "ML_TEST_STORAGE_ACCOUNT_PRIMARY_KEY": "Zmlyc3Qga2V5",
                "ML_TEST_STORAGE_ACCOUNT_SECONDARY_KEY": "c2Vjb25kIGtleQ==",
            }


def _suite(suite: str, work: Path, environment: dict[str, str], select: Sequence[str]) -> list[Result]:
    collected = _pytest(work, environment, suite, ["--collect-only", "-q", *select]).stdout.splitlines()
    tests = [line.strip() for line in collected if "::" in line and not line.startswith(("  ", "ERROR"))]
    skipped = {test: reason for test in tests if (reason := why_not_run(test))}
    report = work / "report.jsonl"
    report.unlink(missing_ok=True)
    chosen = [test for test in tests if test not in skipped]
    if chosen:
        _pytest(work, environment | {"PEER_REPORT": str(report)}, suite, ["-q"], chosen)
    told = _told(report)
    unknown = ("failed", "the tests' process ended before it")
    return [
        Result(suite, test, "not run", skipped[test]) if test in skipped else Result(suite, test, *told.get(test, unknown))
        for test in tests
    ]


def _told(report: Path) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    if report.exists():
        for line in report.read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            test = said["test"]
            # A failure in a test's cleaning up is a failure.
            if test not in found or said["outcome"] == "failed":
                found[test] = (said["outcome"], said["reason"] if said["outcome"] != "passed" else "")
    return found


def _pytest(
    work: Path, environment: dict[str, str], suite: str, options: Sequence[str], tests: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    files = tests or [f"tests/{name}" for name in SUITES[suite]]
    command = [sys.executable, "-m", "pytest", "-p", "peer_plugin", "-p", "no:cacheprovider", "--rootdir", str(work),
               "-c", str(work / "pytest.ini"), "-W", "ignore", *options, *files]  # fmt: skip
    path = os.pathsep.join([str(HERE / "standin"), str(work / "tests")])
    variables = {"PEER_REPORT": os.devnull} | environment | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=work, env=variables, capture_output=True, text=True, timeout=3600, check=False)
    (work.parent / f"{suite.replace(' ', '-')}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", action="append", choices=SUITES, help="only this one; may be repeated")
    parser.add_argument("-k", dest="select", help="only tests whose names fit, as pytest's -k")
    parser.add_argument("--keep", type=Path, help="work in this folder and leave it, for a look at logs")
    parser.add_argument("--resume", action="store_true", help="go on where an earlier run of every suite was ended")
    given = parser.parse_args()
    partly = bool(given.suite or given.select)
    if not partly and not given.resume:
        shutil.rmtree(RESULTS, ignore_errors=True)
    suites = [suite for suite in given.suite or SUITES if not (given.resume and _kept(suite).exists())]

    def ended(suite: str, found: list[Result]) -> None:
        for each in found:
            reason = next(iter(each.reason.splitlines()), "")[:150]
            print(f"{each.outcome:8} {each.suite:22} {each.test.rpartition('::')[2]}  {reason}", flush=True)
        if not partly:
            RESULTS.mkdir(parents=True, exist_ok=True)
            _kept(suite).write_text(json.dumps([asdict(each) for each in found]), encoding="utf-8")

    try:
        run(suites, ["-k", given.select] if given.select else [], given.keep, ended)
    except Unreachable as error:
        print(error, file=sys.stderr)
        return 3
    if not partly:
        found = [Result(**each) for suite in SUITES for each in json.loads(_kept(suite).read_text(encoding="utf-8"))]
        write_page(CHECKOUT / "docs" / "peer-tests.md", found)
        shutil.rmtree(RESULTS)
    return 0


def _kept(suite: str) -> Path:
    return RESULTS / f"{suite.replace(' ', '-')}.json"


if __name__ == "__main__":
    raise SystemExit(main())
