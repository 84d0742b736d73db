"""Settings: where each value may come from, which one wins, and where it did come from.

Flag > environment (`OPSML_…`) > `.env` > `opsml.toml` (nearest parent folder) > studio's `config.json` beside it > the
user's own `config.toml` > default. Where tokens go (`USER_ONLY`) is no project's business: a project file that says so is
refused by name.
"""

from opsml_cli.settings.loading import Loaded, load, local_folder
from opsml_cli.settings.model import NOT_IN_PROJECT_FILE, USER_ONLY, AzureSettings, Settings, environment_variables, variable
from opsml_cli.settings.sources import PROJECT_FILE, user_file

__all__ = [
    "NOT_IN_PROJECT_FILE",
    "PROJECT_FILE",
    "USER_ONLY",
    "AzureSettings",
    "Loaded",
    "Settings",
    "environment_variables",
    "load",
    "local_folder",
    "user_file",
    "variable",
]
