"""The files of a folder of code: what an ignore file names stays out, and nothing outside the folder is followed."""

from __future__ import annotations

import os
from pathlib import Path

from opsml_cli.content.ignore_file import IgnoreRules
from opsml_cli.domain.errors import InvalidInputError


def files_below(folder: Path, rules: IgnoreRules | None) -> list[tuple[str, Path]]:
    """Every file with its name there, with `/`. InvalidInputError for a link that leaves the folder, and for what is neither
    file nor folder."""
    return _walk(folder, "", rules, folder.resolve(), ())


def _walk(folder: Path, prefix: str, rules: IgnoreRules | None, root: Path, above: tuple[Path, ...]) -> list[tuple[str, Path]]:
    real = folder.resolve()
    if real in above:
        raise InvalidInputError(
            f"{prefix.rstrip('/')} links to a folder around it", fix="remove the link, or name it in .amlignore"
        )
    found: list[tuple[str, Path]] = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        name = prefix + entry.name
        path = Path(entry.path)
        is_folder = path.is_dir()
        if rules is not None and rules.ignores(name, folder=is_folder):
            continue
        if entry.is_symlink() and not path.resolve().is_relative_to(root):
            raise InvalidInputError(
                f"{name} in {root.name} is a link that leaves the folder",
                cause="a snapshot holds only what lies in its own folder",
                fix="copy the file there, or name the link in .amlignore",
            )
        if is_folder:
            found += _walk(path, f"{name}/", rules, root, (*above, real))
        elif path.is_file():
            found.append((name, path))
        else:
            raise InvalidInputError(
                f"{name} in {root.name} is neither file nor folder", fix="remove it, or name it in .amlignore"
            )
    return found
