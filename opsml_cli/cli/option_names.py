"""Each command's options, `=` where a value follows. Made by `python -m opsml_cli.cli.completion --write`."""

OPTION_NAMES: dict[str, tuple[str, ...]] = {
    "data register": (
        "--version=",
        "--type=",
        "--description=",
        "--tag=",
        "--target-column=",
        "--dry-run",
    ),
    "data profile": (
        "--target-column=",
    ),
    "swagger": (
        "--save=",
        "--ui",
        "--port=",
        "--no-browser",
        "--check",
    ),
    "logs": (
        "--deployment=",
        "--tail=",
        "--follow",
        "-f",
        "--since=",
        "--grep=",
        "--level=",
        "--container",
    ),
    "insights enable": (
        "--dry-run",
    ),
    "insights disable": (
        "--dry-run",
    ),
    "insights show": (
        "--since=",
        "--watch",
    ),
    "init": (
        "--subscription-id=",
        "--resource-group=",
        "--workspace-name=",
        "--yes",
        "-y",
        "--dry-run",
    ),
}
