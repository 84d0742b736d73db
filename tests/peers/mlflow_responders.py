"""Our side of the MLflow suite without a server: `python mlflow_responders.py FOLDER` loads each model as a host process does
and answers lines of JSON, [model, body], with lines [status, body]."""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any


def main(folder: Path) -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # what models print is no answer
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from opsml_cli.local.serving.host import pyfunc
    from opsml_cli.local.serving.host.exchange import HostRequest

    loaded: dict[str, Any] = {}
    for line in sys.stdin:
        model, body = json.loads(line)
        if model not in loaded:
            loaded[model] = pyfunc.load(folder / model)
        reply = loaded[model].answer(HostRequest("POST", "/score", "", (), json.dumps(body).encode()))
        answers.write(json.dumps([reply.status, reply.body.decode()]) + "\n")
        answers.flush()


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    main(Path(sys.argv[1]))
