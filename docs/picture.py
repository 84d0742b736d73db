"""Draw docs/demo.svg from what a real demo prints.

cd SOME_FOLDER && opsml demo --cleanup >demo.txt 2>&1 && python -m docs.picture demo.txt
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 112
_HIDDEN = re.compile(r"^(workspace: |job .*: (NotStarted|Preparing|Running)|run .*: (NotStarted|Running)|\s+step .*Running|"
                     r"pipeline/pipeline\.yml: |.*: Creating$|\s+\d+ of \d+ MB|Copying |  input |  output )")  # fmt: skip


def draw(printed: str) -> str:
    """The SVG of `printed`: the demo's lines as they are, those about progress left out, long ones cut."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor")
    place = re.search(r"(/\S+)/opsml-demo\b", printed)
    if place:
        printed = printed.replace(place[1], "~")
    for line in printed.splitlines():
        if _HIDDEN.match(line):
            continue
        style = (
            "bold green"
            if line.startswith("$ ")
            else "bold"
            if line.startswith("── ")
            else "yellow"
            if line.startswith("warn")
            else ""
        )
        console.print(Text(line if len(line) <= COLUMNS else line[: COLUMNS - 1] + "…", style=style), no_wrap=True)
    return console.export_svg(title="opsml demo", unique_id="opsml-demo")


def main() -> int:
    """Write the picture from the file that the command line names."""
    printed = Path(sys.argv[1]).read_text("utf-8")
    Path(__file__).with_name("demo.svg").write_text(draw(printed), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
