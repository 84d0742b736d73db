"""Uploads whose process is killed at any instant: what was acknowledged is there, whole, and nothing half-made is ever seen."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from opsml_cli.content.files import TEMPORARY
from opsml_cli.local.storage.engine import Written
from opsml_cli.local.storage.objects import Labels, StoredObject
from opsml_cli.local.workspace import LocalWorkspace

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

BOX = "@blobstore"
# Writes objects without end, whole and in blocks, each over the one before, and says what is durable.
WRITER = """
import base64, hashlib, sys
from pathlib import Path
from opsml_cli.local.storage.blocks import Block
from opsml_cli.local.storage.engine import Written
from opsml_cli.local.storage.objects import Labels
from opsml_cli.local.workspace import LocalWorkspace

storage = LocalWorkspace(Path(sys.argv[1])).storage
number = 0
while True:
    number += 1
    content = (str(number) * 5000).encode()
    said = Written(Labels(), {"sha": hashlib.sha256(content).hexdigest()})
    name = f"object-{number % 3}"
    if number % 2:
        storage.put("@blobstore", name, [content[:100], content[100:]], said)
    else:
        ids = [base64.b64encode(b"%02d" % part).decode() for part in range(3)]
        for part, block in enumerate(ids):
            storage.stage("@blobstore", name, block, content[part * len(content) // 3 : (part + 1) * len(content) // 3])
        storage.commit("@blobstore", name, [Block(block) for block in ids], said)
    print(name, number, flush=True)
"""


def last_number(line: bytes) -> tuple[str, int]:
    name, number = line.split()
    return name.decode(), int(number)


def test_a_killed_upload_loses_nothing_that_was_acknowledged(
    tmp_path: Path, workspace: LocalWorkspace, clean_environment: dict[str, str]
) -> None:
    draw = random.Random(11)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(workspace.root)], cwd=tmp_path, env=clean_environment, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        told = dict([last_number(process.stdout.readline())])
        deadline = time.monotonic() + draw.random() * 0.4
        while time.monotonic() < deadline:
            told |= [last_number(process.stdout.readline())]
        os.kill(process.pid, signal.SIGKILL)
        told |= [last_number(line) for line in process.stdout.readlines() if line.endswith(b"\n")]
        process.wait(10)
        process.stdout.close()
        for item in workspace.storage.list(BOX).entries:
            assert isinstance(item, StoredObject)
            content = b"".join(workspace.storage.read(item))
            assert hashlib.sha256(content).hexdigest() == item.metadata["sha"] == item.sha256
            if item.path in told:
                assert int(content[: len(content) // 5000]) >= told[item.path]
    workspace.storage.put(BOX, "after", [b"x"], Written(Labels(), {}))
    assert not [path for path in workspace.layout.blobs.iterdir() if path.name.startswith(TEMPORARY)]
