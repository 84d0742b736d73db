"""What a model or a script asks of its Python: a requirements file, a conda file, or those in an MLflow folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from opsml_cli.documents import Document, parse_document, read_document
from opsml_cli.domain.errors import InvalidInputError, NotFoundError
from opsml_cli.local.environments import conda

MAX_FILES = 20  # requirement files that name one another
_PYTHON = re.compile(r"(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """`lines` are an installer's requirement lines, paths in them absolute; `python` the minor version (None: any); `source`
    is how messages name where they come from, `notes` what of it cannot be installed here."""

    lines: tuple[str, ...]
    python: tuple[int, int] | None
    source: str
    notes: tuple[str, ...] = ()


def read(path: Path) -> Wanted:
    """Of a file: .yml and .yaml are conda files, anything else is a requirements file. NotFoundError, InvalidInputError."""
    if path.suffix in (".yml", ".yaml"):
        return of_conda(read_document(path))
    return Wanted(tuple(_requirements(path, [])), None, str(path))


def of_conda_text(text: str, source: str, folder: Path) -> Wanted:
    return of_conda(parse_document(text, source=source, folder=folder))


def of_conda(document: Document) -> Wanted:
    """Of a conda file: its pip section as it is, and its other packages by their names on PyPI."""
    content = document.value
    if not isinstance(content, dict):
        raise document.error((), "a conda file is a mapping with 'dependencies'")
    entries = content.get("dependencies", [])
    if not isinstance(entries, list):
        raise document.error(("dependencies",), "'dependencies' is a list")
    lines: list[str] = []
    left: list[str] = []
    python = None
    for position, entry in enumerate(entries):
        if isinstance(entry, dict):
            pip = entry.get("pip")
            if not isinstance(pip, list) or len(entry) != 1:
                raise document.error(("dependencies", position), "the one mapping among dependencies is pip: [...]")
            for line in pip:
                lines += _expanded(str(line), document.folder, [], document.source)
            continue
        package = conda.parse(str(entry))
        if package is None:
            raise document.error(("dependencies", position), f"{entry!r} is no conda package", "expected NAME=VERSION")
        if package.name == "python":
            python = _minor(package.version)
        elif (requirement := package.requirement) is not None:
            lines.append(requirement)
        elif package.name not in conda.IMPLIED:
            left.append(package.name)
    notes = (f"{document.source}: left out, as they are no Python packages: {', '.join(left)}",) if left else ()
    return Wanted(tuple(lines), python, document.source, notes)


def of_model(folder: Path) -> Wanted | None:
    """Of an MLflow folder: requirements.txt with the Python of python_env.yaml, else conda.yaml; None when it has neither."""
    requirements, python_env, conda_file = folder / "requirements.txt", folder / "python_env.yaml", folder / "conda.yaml"
    python = None
    if python_env.is_file():
        content = read_document(python_env).value
        python = _minor(str(content.get("python", ""))) if isinstance(content, dict) else None
    if requirements.is_file():
        if python is None and conda_file.is_file():
            python = of_conda(read_document(conda_file)).python
        return Wanted(tuple(_requirements(requirements, [])), python, str(requirements))
    return of_conda(read_document(conda_file)) if conda_file.is_file() else None


def _minor(text: str | None) -> tuple[int, int] | None:
    found = _PYTHON.search(text or "")
    return (int(found[1]), int(found[2])) if found else None


def _requirements(path: Path, above: list[Path]) -> list[str]:
    """The lines of a requirements file, those of files that it names among them."""
    if path in above or len(above) > MAX_FILES:
        raise InvalidInputError(f"{path} names itself through -r", fix="take the line out")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotFoundError(f"no requirements file {path}", fix="check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"the requirements file {path} cannot be read: {error}") from error
    lines = []
    for line in text.replace("\\\n", " ").splitlines():
        lines += _expanded(line, path.parent, [*above, path], str(path))
    return lines


_FILE_OPTIONS = re.compile(r"(-r|--requirement|-c|--constraint|-e|--editable|-f|--find-links)(?:\s+|=)(.+)")


def _expanded(line: str, folder: Path, above: list[Path], source: str) -> list[str]:
    """A line without its comment, its paths absolute; a named requirements file becomes its lines."""
    line = re.sub(r"(^|\s)#.*$", "", line).strip()
    if not line:
        return []
    if any(ord(character) < 32 for character in line):
        raise InvalidInputError(f"{source}: a requirement has control characters: {line!r}", fix="take them out")
    option = _FILE_OPTIONS.fullmatch(line)
    if option is not None:
        name, value = option[1], option[2].strip().strip("'\"")
        if "://" in value or value.startswith("git+"):
            return [f"{name} {value}"]
        if name in ("-r", "--requirement"):
            return _requirements((folder / value).absolute(), above)
        return [f"{name} {(folder / value).absolute()}"]
    if line.startswith((".", "/")) or line.endswith(".whl"):
        return [str((folder / line).absolute())] if "://" not in line else [line]
    return [line]
