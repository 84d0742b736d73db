"""The code of scoring scripts, kept beside the endpoint that runs it, in a folder named by its content's hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsml_cli.content import files
from opsml_cli.domain.errors import InvalidInputError
from opsml_cli.local.endpoint_records import Script
from opsml_cli.local.layout import Layout

if TYPE_CHECKING:
    from opsml_cli.local.pipelines.snapshot import Tree

UNTRUSTED = "is foreign code, and nobody answers for it: opsml local up --trust says that you do"


def keep(layout: Layout, endpoint: str, tree: Tree, entry: str, mount: str) -> Script:
    """Write the code out, unless it is there; `mount` is the name under which the script finds its model ("": the model's
    folder itself). InvalidInputError when `entry` is no file of it."""
    from opsml_cli.local.pipelines.snapshot import restore

    entry = entry.removeprefix("./")
    if all(each.path != entry for each in tree.files):
        known = ", ".join(each.path for each in tree.files[:5])
        raise InvalidInputError(f"the code holds no file {entry!r}", cause=f"it holds {known}")
    script = Script(entry, tree.sha256, mount)
    folder = script.folder(layout.endpoint(endpoint))
    if not folder.exists():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with files.new_folder(folder) as temporary:
            restore(layout, tree, temporary)
    return script
