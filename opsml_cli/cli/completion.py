"""Shell completion. It answers from the command table and a generated list of options: no command is loaded for it, nor
Typer itself.

The shell's script calls `opsml WORDS…` with `_OPSML_COMPLETE` naming the shell; the last word is the one being typed."""

from __future__ import annotations

import sys

from opsml_cli.cli import table
from opsml_cli.cli.global_options import FORMATS, OPTIONS

SHELLS = ("bash", "zsh", "fish")
# What comes after an option, where it is one of a few words.
_VALUES = {
    "--output": FORMATS,
    "-o": FORMATS,
    "--workspace": ("local", "azure"),
    "-w": ("local", "azure"),
    "--show-completion": SHELLS,
    "--install-completion": SHELLS,
}
_ROOT_OPTIONS = {"--version": False, "--show-completion": True, "--install-completion": True}

_SCRIPTS = {
    "bash": """\
_opsml_completion() {
    local IFS=$'\\n'
    COMPREPLY=($(_OPSML_COMPLETE=bash "$1" "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o bashdefault -o default -F _opsml_completion opsml
""",
    "zsh": """\
#compdef opsml
_opsml() {
    local -a found
    found=("${(@f)$(_OPSML_COMPLETE=zsh opsml "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "$found[1]" ]]; then
        _describe -V opsml found
    else
        _files
    fi
}
compdef _opsml opsml
""",
    "fish": """\
function __opsml_complete
    set -lx _OPSML_COMPLETE fish
    opsml (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null
end
complete --command opsml --no-files --condition 'test -n "(__opsml_complete)"' --arguments '(__opsml_complete)'
""",
}


def answer(words: list[str], shell: str) -> int:
    """Print what the last of `words` may become, a line each; 0."""
    for value, text in candidates(words):
        if shell == "zsh":
            line = value.replace(":", "\\:") + (f":{text}" if text else "")
        else:
            line = f"{value}\t{text}" if shell == "fish" and text else value
        sys.stdout.write(line + "\n")
    return 0


def candidates(words: list[str]) -> list[tuple[str, str]]:  # noqa: PLR0911 - a table of cases
    """Each possible last word with its summary; none where a file name or a value belongs."""
    *before, typed = words or [""]
    path = ""
    waiting: str | None = None  # the option that the next word belongs to
    for word in before:
        if waiting is not None:
            waiting = None
        elif word == "--":
            return []
        elif word.startswith("-"):
            takes = _options(path).get(word, False)
            waiting = word if takes else None
        elif path not in table.BY_PATH:
            path = f"{path} {word}".strip()
            if path not in table.BY_PATH and path not in table.GROUPS:
                return []
    if waiting is not None:
        return [(value, "") for value in _VALUES.get(waiting, ()) if value.startswith(typed)]
    if typed.startswith("-"):
        name, equals, value = typed.partition("=")
        if equals:
            return [(f"{name}={known}", "") for known in _VALUES.get(name, ()) if known.startswith(value)]
        return [(option, "") for option in _options(path) if option.startswith(typed)]
    if path in table.BY_PATH:
        return []
    return [(word, text) for word, text in table.children(path).items() if word.startswith(typed)]


def _options(path: str) -> dict[str, bool]:
    """Each option that may stand after `path`, and whether a value follows it."""
    from opsml_cli.cli.option_names import OPTION_NAMES

    found = {name.removesuffix("="): name.endswith("=") for name in OPTION_NAMES.get(path, ())}
    found["--help"] = False
    for option in OPTIONS:
        found |= dict.fromkeys(option.flags, bool(option.takes))
    return found if path else _ROOT_OPTIONS | found


def script(shell: str) -> str:
    """The shell's completion script. UsageError for a shell that is not supported."""
    if shell not in _SCRIPTS:
        from opsml_cli.domain.errors import UsageError

        raise UsageError(f"no completion for {shell!r}", cause=f"there are: {', '.join(SHELLS)}")
    return _SCRIPTS[shell].rstrip("\n")


def install(shell: str) -> str:
    """Write the script where the shell finds it; a line that says where."""
    from pathlib import Path

    content = script(shell) + "\n"
    home = Path.home()
    places = {
        "bash": home / ".bash_completions/opsml.sh",
        "zsh": home / ".zfunc/_opsml",
        "fish": home / ".config/fish/completions/opsml.fish",
    }
    lines = {
        "bash": (home / ".bashrc", f"source '{places['bash']}'"),
        "zsh": (home / ".zshrc", "fpath+=~/.zfunc; autoload -Uz compinit; compinit"),
    }
    path = places[shell]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    if shell in lines:
        start, line = lines[shell]
        there = start.read_text(encoding="utf-8") if start.is_file() else ""
        if line not in there:
            with start.open("a", encoding="utf-8") as file:
                file.write(f"{'' if not there or there.endswith(chr(10)) else chr(10)}{line}\n")
    return f"completion for {shell} written to {path}; it works in the next shell"


def generated() -> str:
    """The text of option_names.py for the commands as they are. Loads them all."""
    from opsml_cli.cli.loader import load

    lines = []
    for command in table.COMMANDS:
        names = []
        for parameter in load(command).params:
            if parameter.param_type_name == "option" and not getattr(parameter, "hidden", False):
                value = "" if getattr(parameter, "is_flag", False) else "="
                names += [name + value for name in (*parameter.opts, *parameter.secondary_opts)]
        if names:
            lines.append(f'    "{command.path}": (\n' + "".join(f'        "{name}",\n' for name in names) + "    ),\n")
    return (
        '"""Each command\'s options, `=` where a value follows. Made by `python -m opsml_cli.cli.completion --write`."""\n\n'
        "OPTION_NAMES: dict[str, tuple[str, ...]] = {\n" + "".join(lines) + "}\n"
    )


if __name__ == "__main__":
    from pathlib import Path as _Path

    if sys.argv[1:] == ["--write"]:
        _Path(__file__).with_name("option_names.py").write_text(generated(), encoding="utf-8")
    else:
        sys.stdout.write(generated())
