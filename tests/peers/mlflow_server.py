"""MLflow's own scoring server for every model below a folder, each at /NAME/invocations: `python mlflow_server.py FOLDER`, in
MLflow's environment. The first line of output is the port. A second argument: only the models with these names."""

from __future__ import annotations

import logging
import socket
import sys
import warnings
from pathlib import Path

import mlflow.pyfunc
import uvicorn
from fastapi import FastAPI
from mlflow.pyfunc.scoring_server import init

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
folder, only = Path(sys.argv[1]), sys.argv[2:]
root = FastAPI()
for model in sorted(path.parent for path in folder.glob("*/MLmodel")):
    if not only or model.name in only:
        root.mount(f"/{model.name}", init(mlflow.pyfunc.load_model(str(model))))
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(root, log_level="critical")).run(sockets=[listening])
