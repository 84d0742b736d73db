"""What tests of pipelines and of the local service share: a small pipeline, waiting for a run, ending what was started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from waiting import until

from opsml_cli.domain.pipeline import PipelineRun
from opsml_cli.emulator.process import EmulatorProcess
from opsml_cli.local.service.process import LocalService
from opsml_cli.local.workspace import LocalWorkspace

SMALL = """\
type: pipeline
display_name: small
inputs:
  word: hello
  count: {type: integer, default: 3, min: 1, max: 5}
outputs:
  last: {type: uri_folder}
jobs:
  first:
    type: command
    code: src
    command: python write.py ${{outputs.out}} ${{inputs.word}} ${{inputs.count}}
    inputs:
      word: ${{parent.inputs.word}}
      count: ${{parent.inputs.count}}
    outputs:
      out: {type: uri_folder}
  second:
    type: command
    command: cp ${{inputs.made}}/word.txt ${{outputs.out}}/copied.txt
    inputs:
      made: ${{parent.jobs.first.outputs.out}}
    outputs:
      out: ${{parent.outputs.last}}
"""
WRITE = """\
import pathlib, sys
folder, word, count = sys.argv[1:]
pathlib.Path(folder, "word.txt").write_text(word * int(count), encoding="utf-8")
print("wrote", count)
"""


def small_pipeline(folder: Path) -> Path:
    """`folder`/pipeline.yml and the code it names."""
    (folder / "src").mkdir(parents=True, exist_ok=True)
    (folder / "src" / "write.py").write_text(WRITE)
    return written(folder, SMALL)


def written(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pipeline.yml"
    path.write_text(text)
    return path


def ended(workspace: LocalWorkspace, name: str, seconds: float = 60.0) -> PipelineRun:
    """The run when it has ended."""
    until(lambda: workspace.pipelines.run(name).status.finished, seconds)
    return workspace.pipelines.run(name)


@contextmanager
def cleaned(workspace: LocalWorkspace) -> Iterator[LocalWorkspace]:
    """Ends the service and every run at the end."""
    try:
        yield workspace
    finally:
        if workspace.root.exists():
            EmulatorProcess(workspace).down()
            LocalService(workspace.layout).down()
            for job in workspace.jobs.list():
                if not job.status.finished:
                    workspace.jobs.cancel(job.name)
                    until(lambda name=job.name: workspace.jobs.get(name).status.finished)
        workspace.store.close()
