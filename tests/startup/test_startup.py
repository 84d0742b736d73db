"""What a fresh interpreter loads before it does anything."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "azure",
    "mlflow",
    "pandas",
    "numpy",
    "sklearn",
    "lightgbm",
    "pyarrow",
    "httpx",
    "rich",
    "skops",
    "uvicorn",
    "starlette",
    "scipy",
}
MORE = HEAVY | {"pydantic", "pydantic_settings", "sqlite3", "psutil", "yaml", "jmespath", "platformdirs", "logging"}
PROGRAM = """
import json, os, sys
from opsml_cli.__main__ import main
sys.argv = ["opsml", *json.loads(os.environ["ARGUMENTS"])]
try:
    main()
except SystemExit:
    pass
finally:
    with open(os.environ["MODULES"], "w") as file:
        json.dump(sorted(sys.modules), file)
"""


@pytest.fixture
def loaded(tmp_path, clean_environment):
    """The modules that a command line loads."""

    def run(*arguments: str, **environment: str) -> set[str]:
        modules = tmp_path / "modules.json"
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=clean_environment | environment | {"ARGUMENTS": json.dumps(arguments), "MODULES": str(modules)},
            cwd=tmp_path,
            capture_output=True,
            check=True,
        )
        return set(json.loads(modules.read_text()))

    return run


def _top(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def _commands(modules: set[str]) -> set[str]:
    return {module for module in modules if module.startswith("opsml_cli.cli.commands.")}


@pytest.mark.parametrize("arguments", [("--help",), ("data", "--help"), (), ("--version",), ("--show-completion", "bash")])
def test_help_loads_next_to_nothing(loaded, arguments) -> None:
    modules = loaded(*arguments)
    assert not _top(modules) & MORE
    assert not _commands(modules)
    assert not {
        module for module in modules if module.startswith(("opsml_cli.domain", "opsml_cli.local", "opsml_cli.services"))
    }


@pytest.mark.parametrize("words", [("",), ("data", ""), ("data", "list", "--"), ("-o", "")])
def test_completion_loads_not_even_typer(loaded, words) -> None:
    modules = loaded(*words, _OPSML_COMPLETE="bash")
    assert not _top(modules) & (MORE | {"typer"})
    assert not _commands(modules)


@pytest.mark.parametrize("arguments", [("dta", "list"), ("data", "lst", "-o", "json"), ("-o", "json", "rollback")])
def test_suggestions_load_no_command(loaded, arguments) -> None:
    modules = loaded(*arguments)
    assert not _top(modules) & (MORE - {"yaml"})
    assert not _commands(modules)


@pytest.mark.parametrize(
    "arguments",
    [("data", "list"), ("endpoints", "list"), ("endpoints", "show", "bank"), ("jobs", "list"), ("jobs", "show", "job1")],
)
def test_reads_load_no_heavy_module(loaded, arguments) -> None:
    modules = loaded(*arguments, "-o", "json")
    assert "sqlite3" in modules
    assert not _top(modules) & HEAVY


LOCAL_READS = [("data", "list"), ("models", "list"), ("endpoints", "list"), ("jobs", "list"), ("workspace", "show"),
               ("local", "status")]  # fmt: skip


@pytest.mark.parametrize("arguments", LOCAL_READS)
def test_commands_on_local_load_nothing_of_azure(loaded, arguments) -> None:
    modules = loaded(*arguments, "-o", "json")
    assert not {module for module in modules if module.split(".")[0] in ("azure", "msal", "msrest")}
    assert not {module for module in modules if module.startswith("opsml_cli.azureml")}


# Things that are not there are looked for as any other.
AZURE_READS = [
    ("data", "list"),
    ("data", "show", "bank"),
    ("models", "list"),
    ("models", "show", "bank"),
    ("jobs", "list"),
    ("jobs", "show", "job1"),
    ("endpoints", "list"),
    ("endpoints", "show", "bank"),
    ("endpoints", "keys", "bank"),
    ("logs", "bank"),
    ("swagger", "bank"),
    ("pipeline", "list"),
    ("pipeline", "trigger", "retrain"),
    ("schedules", "list"),
]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", AZURE_READS)
def test_reads_on_azure_do_without_the_sdk(loaded, azure_environment, arguments) -> None:
    modules = loaded(*arguments, "-o", "json", **azure_environment)
    assert "azure.identity" in modules
    assert "azure.ai" not in modules
    assert not _top(modules) & (HEAVY - {"azure", "httpx"})
    assert not {module for module in modules if module.startswith(("opsml_cli.local", "opsml_cli.emulator"))}
