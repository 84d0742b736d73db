"""The variables that processes which opsml starts are given: what they need, never all that opsml itself was given.

Anybody of the same user, so every step of a pipeline too, can read a process's variables. Whoever wants others to get through
names them in `OPSML_PASS_ENVIRONMENT`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from opsml_cli.domain.secret_shapes import looks_secret

NAMED = "OPSML_PASS_ENVIRONMENT"  # names of variables, with commas between
_NAMES = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TERM",
        "TMPDIR",
        "TEMP",
        "TMP",
        "PWD",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "DYLD_LIBRARY_PATH",
        "VIRTUAL_ENV",
        "PYENV_ROOT",
        "JAVA_HOME",
        "CONDA_PREFIX",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
        "COLUMNS",
        "NO_COLOR",
        "FORCE_COLOR",
        "DISPLAY",
        "SYSTEMROOT",
        "SYSTEMDRIVE",
        "WINDIR",
        "COMSPEC",
        "PATHEXT",
        "APPDATA",
        "LOCALAPPDATA",
        "PROGRAMDATA",
        "USERPROFILE",
        "HOMEDRIVE",
        "HOMEPATH",
        "USERNAME",
        "NUMBER_OF_PROCESSORS",
        "PROCESSOR_ARCHITECTURE",
        "PROGRAMFILES",
        "OS",
    ]
)
_PREFIXES = (
    "LC_",
    "XDG_",
    "PYTHON",
    "OMP_",
    "OPENBLAS_",
    "MKL_",
    "NUMEXPR_",
    "VECLIB_",
    "BLIS_",
    "GOTO_",
    "KMP_",
    "CUDA_",
    "NVIDIA_",
    "MALLOC_",
    "OPSML_",
    "MLFLOW_",
    "AZUREML_",
    "FAKETIME",
    "COVERAGE_",
    "COV_",
)
SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSW|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE|CONNECTION_?STRING|_KEY\Z|_PAT\Z|_SAS\Z|COOKIE|AUTH",
    re.IGNORECASE,
)


def kept(base: Mapping[str, str], also: Sequence[str] = ()) -> dict[str, str]:
    """Of `base` what a process of ours needs, and what is named in `OPSML_PASS_ENVIRONMENT`. `also` are prefixes of names whose
    variables the process needs as well, be they secret."""
    named = {name.strip() for name in base.get(NAMED, "").split(",")}
    return {name: value for name, value in base.items() if name in named or _needed(name, value, also)}


def _needed(name: str, value: str, also: Sequence[str]) -> bool:
    upper = name.upper()
    if also and upper.startswith(tuple(also)):
        return True
    if upper not in _NAMES and not upper.startswith(_PREFIXES):
        return False
    return not SECRET_NAME.search(name) and not looks_secret(value)
