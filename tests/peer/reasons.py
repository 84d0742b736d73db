"""Why a test of the SDK's is not run, or is known not to pass: patterns on its name, the first that fits."""

from __future__ import annotations

import re

_REGISTRY = "an Azure ML registry: the emulator serves a workspace, no registries"
_NO_ENGINE = "the local engine has no {}"

# Not run: they need what is no part of a workspace on this machine, or data that cannot be given.
NOT_RUN: tuple[tuple[str, str], ...] = (
    (r"registr(y|ies)(?!ation)|test_crud_model_with_system_metadata|test_automl_component", _REGISTRY),
    (r"spark", _NO_ENGINE.format("Spark")),
    (r"singularity", "Singularity virtual clusters are Microsoft's own"),
    (r"data_?transfer", _NO_ENGINE.format("data transfer steps")),
    (r"parallel", _NO_ENGINE.format("parallel steps")),
    (r"sweep", _NO_ENGINE.format("sweep steps")),
    (r"flow_node|with_flow|from_flow", "prompt flows: not emulated"),
    (r"automl_(image|text)|automl_in_pipeline|automl/pipeline_", "AutoML on images and text: not emulated"),
    (r"automl_forecasting", _NO_ENGINE.format("forecasting")),
    (r"param_group", "parameter groups: not emulated"),
    (r"input_reason_expression|input_path_concatenate", "a path made of an input and text: not known to the local engine"),
)  # fmt: skip

# Run, and known not to pass.
KNOWN: tuple[tuple[str, str], ...] = (
    (r"test_compute_instance", "the emulator has compute clusters, no compute instances"),
    (r"test_pipeline_job_create_with_distribution_component", "steps on several machines: this machine is one"),
)


def why_not_run(test: str) -> str | None:
    return _first(NOT_RUN, test)


def why_failing(test: str) -> str | None:
    return _first(KNOWN, test)


def _first(patterns: tuple[tuple[str, str], ...], test: str) -> str | None:
    return next((reason for pattern, reason in patterns if re.search(pattern, test)), None)
