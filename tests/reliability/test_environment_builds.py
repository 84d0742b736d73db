"""A private environment is made once, whoever asks and whatever is killed, and a script runs in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from opsml_cli.domain.endpoint import RawRequest
from opsml_cli.domain.errors import WorkFailedError
from opsml_cli.local.environments import building
from opsml_cli.local.environments.wanted import Wanted
from opsml_cli.local.workspace import LocalWorkspace

pytestmark = pytest.mark.slow

BUILD = """
import sys
from pathlib import Path
from opsml_cli.local.environments import building, wanted
made = building.ensure(wanted.read(Path(sys.argv[1])))
print(made.built, made.python)
"""


def wheel(folder: Path, name: str, version: str) -> None:
    """A package with one module, which needs no index."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", f"version = {version!r}\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "wheels").mkdir()
    wheel(tmp_path / "wheels", "ownpackage", "1.5")
    (tmp_path / "requirements.txt").write_text("ownpackage==1.5\n")
    alone = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels"), "PIP_CONFIG_FILE": "/dev/null"}
    return {**os.environ, **alone, "XDG_CACHE_HOME": str(tmp_path / "cache")}


def build(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, str(folder / "requirements.txt")]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def test_two_builds_make_one_which_needs_no_installer_after_that(tmp_path: Path, environment: dict[str, str]) -> None:
    both = [build(tmp_path, environment) for _ in range(2)]
    told = [each.communicate(timeout=300) for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    built = sorted(out.split()[0] for out, _ in told)
    assert built == ["False", "True"]
    (tmp_path / "wheels" / "ownpackage-1.5-py3-none-any.whl").unlink()
    again, _ = build(tmp_path, environment).communicate(timeout=60)
    assert again.split()[0] == "False"
    code = "import ownpackage; print(ownpackage.version)"
    assert subprocess.run([again.split()[1], "-c", code], capture_output=True, text=True, check=True).stdout == "1.5\n"


def test_a_killed_build_leaves_nothing_that_is_used(tmp_path: Path, environment: dict[str, str]) -> None:
    first = build(tmp_path, environment)
    place = tmp_path / "cache" / "opsml" / "environments"
    deadline = time.monotonic() + 120
    while not list(place.glob("*/lib")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert list(place.glob("*/lib"))
    assert not list(place.glob(f"*/{building.LIST}"))
    out, error = build(tmp_path, environment).communicate(timeout=300)
    assert out.split()[0] == "True", error


def test_one_that_cannot_be_made_names_the_requirement_and_its_log(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, environment[name])
    with pytest.raises(WorkFailedError, match=r"requirements\.txt.*no-such-package==9") as failed:
        building.ensure(Wanted(("ownpackage", "no-such-package==9"), None, "requirements.txt"))
    assert failed.value.exit_code == 9
    assert "no-such-package" in Path((failed.value.fix or "").rpartition(" ")[2]).read_text()
    assert not list(building.folder().glob(f"*/{building.LIST}"))


def test_a_script_answers_in_an_environment_of_its_own(tmp_path: Path, environment: dict[str, str]) -> None:
    code = tmp_path / "code"
    code.mkdir()
    text = "import sys, ownpackage\ndef init(): pass\ndef run(raw_data): return [ownpackage.version, sys.prefix]\n"
    (code / "score.py").write_text(text)
    environment["HOME"] = str(tmp_path)

    def opsml(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "opsml_cli", *words]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    script = ("--code", "code", "--scoring-script", "score.py", "--endpoint", "own", "--trust")
    try:
        failed = opsml("deploy", *script)
        assert failed.returncode == 9
        assert "pip install ownpackage" in failed.stderr
        done = opsml("deploy", *script, "--environment", "requirements.txt")
        assert done.returncode == 0, done.stderr
        reply = LocalWorkspace(tmp_path / ".opsml").online_endpoints.send("own", RawRequest(b"{}"))
        version, prefix = json.loads(reply.body)
        assert (reply.status, version) == (200, "1.5")
        assert prefix.startswith(str(tmp_path / "cache"))
        unchanged = json.loads(opsml("deploy", *script, "--environment", "requirements.txt", "-o", "json").stdout)
        assert unchanged["unchanged"] is True
    finally:
        opsml("endpoints", "delete", "own", "--yes")


def test_the_key_of_an_environment_is_what_is_in_it() -> None:
    one, other = (building.place_of(Wanted((line,), None, "x"))[0] for line in ("six", "six==1"))
    assert one != other
    assert one == building.place_of(Wanted(("six",), None, "another file"))[0]
