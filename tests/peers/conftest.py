"""The interpreters of the peers: skipped with the reason where no package index answers, a failure in CI."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from peer_environments import NoIndexError, python_of


def _python(peer: str) -> Path:
    try:
        return python_of(peer)
    except NoIndexError as error:
        message = f"the environment of {peer} cannot be made here: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="session")
def azureml_python() -> Path:
    """Python with azureml-inference-server-http and inference-schema."""
    return _python("azureml")


@pytest.fixture(scope="session")
def mlflow_python() -> Path:
    """Python with MLflow and its server."""
    return _python("mlflow")


@pytest.fixture(scope="session")
def generators_python() -> Path:
    """Python with the generators of clients: openapi-python-client, openapi-generator (which needs Java) and
    datamodel-code-generator."""
    return _python("generators")
