"""The command table: every command of `opsml`, known without loading any of them.

Help, completion and suggestions read this table alone, so it imports next to nothing. A command's module is loaded when
the command runs. `tests/unit/test_cli_table.py` fails when an entry has no function, or a function no entry.
"""

from __future__ import annotations

from collections import namedtuple

# `path`: the words; `target`: `module:function` below opsml_cli/cli/commands; `changing`: it says first which workspace it
# acts on, and has --dry-run; `destructive`: it has --yes; `waiting`: it has --no-wait and --wait-timeout; `announced`:
# False for changing verbs that touch no workspace.
Command = namedtuple("Command", ("path", "target", "summary", "changing", "destructive", "waiting", "announced"))


def _command(
    path: str,
    target: str,
    summary: str,
    *,
    changing: bool = False,
    destructive: bool = False,
    waiting: bool = False,
    announced: bool | None = None,
) -> Command:
    return Command(path, target, summary, changing, destructive, waiting, changing if announced is None else announced)


# The nouns, in the order of the help page.
GROUPS = {
    "data": "Register tables as immutable versions, and look at them",
    "train": "Train models",
    "jobs": "Watch, cancel and read jobs",
    "models": "Registered models",
    "endpoints": "Online endpoints: a model behind HTTP",
    "batch": "Batch endpoints: models and scripts over whole files",
    "insights": "Request metrics of endpoints",
    "pipeline": "Publish pipelines behind REST endpoints and trigger them",
    "schedules": "Pipelines that run by themselves, at times that were said",
    "local": "The local service, the emulator of Azure ML, and their processes",
    "config": "Settings and where they come from",
    "compute": "Computes: where jobs run",
    "workspace": "The workspace that commands act on",
    "help": "Topics: exit codes, environment, formats",
}

# The order is that of the help page: the flow first.
COMMANDS = (
    _command("demo", "demo:demo", "The whole flow on bank-marketing data, step by step", changing=True, announced=False),
    _command("data register", "data:register", "Register data as a new immutable version", changing=True),
    _command("data list", "data:list_", "List data assets, or the versions of one"),
    _command("data show", "data:show", "Show a data asset"),
    _command("data check", "data:check", "Check that a data asset's content is what was registered"),
    _command("data profile", "data:profile", "Show a table's columns: types, missing values, ranges, class balance"),
    _command(
        "train automl", "train:automl", "Train the best model for a table within a time limit", changing=True, waiting=True
    ),
    _command("deploy", "deploy:deploy", "Serve a model over HTTP behind an endpoint", changing=True, waiting=True),
    _command("score", "score:score", "Score rows on an endpoint, or with a model in this process"),
    _command("bench", "bench:bench", "Put load on an endpoint: latency, throughput, errors, a verdict", changing=True),
    _command("swagger", "swagger:swagger", "The OpenAPI document of an endpoint: print, save, check or try it out"),
    _command("logs", "logs:logs", "Log lines of an endpoint"),
    _command("endpoints list", "endpoints:list_", "List endpoints"),
    _command("endpoints show", "endpoints:show", "Show an endpoint, its deployments and traffic"),
    _command("endpoints start", "endpoints:start", "Bring a stopped endpoint up again", changing=True),
    _command("endpoints stop", "endpoints:stop", "Stop an endpoint's server; its records stay", changing=True),
    _command("endpoints invoke", "invoke:invoke", "Send an endpoint a request as it is"),
    _command("endpoints keys", "endpoints:keys", "Show an endpoint's keys, masked unless --reveal"),
    _command(
        "endpoints rotate-keys",
        "endpoints:rotate_keys",
        "Replace one of an endpoint's keys",
        changing=True,
        destructive=True,
    ),
    _command("endpoints traffic", "endpoints:traffic", "Set the percentages of traffic by deployment", changing=True),
    _command(
        "endpoints rollback", "endpoints:rollback", "Set traffic back to what it was before its last change", changing=True
    ),
    _command("endpoints delete", "endpoints:delete", "Delete an endpoint, or one deployment", changing=True, destructive=True),
    _command(
        "batch deploy", "batch:deploy", "Deploy a model, script or pipeline to a batch endpoint", changing=True, waiting=True
    ),
    _command(
        "batch run", "batch:run", "Score a file, a folder or registered data on a batch endpoint", changing=True, waiting=True
    ),
    _command("batch list", "batch:list_", "List batch endpoints"),
    _command("batch show", "batch:show", "Show a batch endpoint and its deployments"),
    _command("batch delete", "batch:delete", "Delete a batch endpoint, or one deployment", changing=True, destructive=True),
    _command("insights enable", "insights:enable", "Record an endpoint's requests", changing=True),
    _command("insights disable", "insights:disable", "Stop recording an endpoint's requests", changing=True),
    _command("insights show", "insights:show", "Requests, failures and latency of an endpoint"),
    _command(
        "insights alerts", "alerts:alerts", "Alert rules of an endpoint: list, add, delete", changing=True, destructive=True
    ),
    _command("insights check", "alerts:check", "Check an endpoint's alert rules and objectives now: a verdict for CI"),
    _command(
        "pipeline publish",
        "pipeline:publish",
        "Publish a pipeline behind a REST endpoint, without running it",
        changing=True,
    ),
    _command("pipeline trigger", "pipeline:trigger", "Start a run of a published pipeline", changing=True, waiting=True),
    _command("pipeline run", "pipeline:run", "Run a pipeline file without publishing it", changing=True, waiting=True),
    _command("pipeline list", "pipeline:list_", "List published pipelines"),
    _command("pipeline show", "pipeline:show", "Show a published pipeline"),
    _command("pipeline url", "pipeline:url", "The URL that triggers a pipeline; --curl for a command that works"),
    _command("pipeline validate", "pipeline:validate", "Check a pipeline file"),
    _command(
        "pipeline delete", "pipeline:delete", "Delete a published pipeline, or one version", changing=True, destructive=True
    ),
    _command("pipeline schedule", "schedules:schedule", "Run a pipeline by itself: by cron or recurrence", changing=True),
    _command("schedules list", "schedules:list_", "List schedules"),
    _command("schedules show", "schedules:show", "Show a schedule: its next and its last runs"),
    _command("schedules enable", "schedules:enable", "Let a schedule run from now on", changing=True),
    _command("schedules disable", "schedules:disable", "Let a schedule rest", changing=True),
    _command("schedules trigger", "schedules:trigger", "Begin a run of a schedule now", changing=True),
    _command("schedules delete", "schedules:delete", "Delete a disabled schedule", changing=True, destructive=True),
    _command("jobs list", "jobs:list_", "List jobs, newest first"),
    _command("jobs show", "jobs:show", "Show a job: state, best trial, metrics, model"),
    _command("jobs watch", "jobs:watch", "Follow a job until it ends"),
    _command("jobs logs", "jobs:logs", "A job's log"),
    _command("jobs cancel", "jobs:cancel", "Ask a job to end", changing=True, destructive=True),
    _command("jobs leaderboard", "jobs:leaderboard", "The trials of a training job, best first"),
    _command("jobs download", "jobs:download", "Copy a job's outputs and logs to a folder"),
    _command("jobs report", "jobs:report", "A training's report: figures, checks, curves; --save for a page"),
    _command("models list", "models:list_", "List models, or the versions of one"),
    _command("models show", "models:show", "Show a model"),
    _command("models register", "models:register", "Register a model folder in MLflow format", changing=True),
    _command("models download", "models:download", "Copy a model's folder"),
    _command("models explain", "models:explain", "Which columns move a model's answers, on the whole and for single rows"),
    _command("models compare", "models:compare", "Compare two models on the same rows, with a verdict for gates"),
    _command("local up", "local:up", "Start the local service and the emulator of Azure ML", changing=True),
    _command(
        "local down",
        "local:down",
        "End the local service, the emulator and the processes of this workspace",
        changing=True,
        destructive=True,
    ),
    _command("local status", "local:status", "Which processes of this workspace run"),
    _command("local backup", "backup:backup", "Write the whole workspace into one file"),
    _command("local restore", "backup:restore", "Make this workspace from a backup", changing=True),
    _command("local env", "local:env", "Print the environment in which scripts for Azure ML find this machine"),
    _command("local run", "local:run", "Run a command for which Azure ML is this machine"),
    _command("local token", "local:token", "Print the local service's bearer token"),
    _command("init", "init:init", "Write an opsml.toml here", changing=True, destructive=True, announced=False),
    _command("config show", "config:show", "Each setting, its value and where it comes from"),
    _command("compute list", "compute:list_", "List computes: where jobs run"),
    _command("compute show", "compute:show", "Show a compute"),
    _command("compute create", "compute:create", "Make a compute cluster, or change its scale", changing=True, waiting=True),
    _command("workspace show", "workspace:show", "The workspace that commands act on, and why"),
    _command("workspace create", "workspace:create", "Make the workspace that the settings name", changing=True, waiting=True),
    _command("workspace share", "workspace:share", "Give somebody a role on the workspace", changing=True),
    _command("doctor", "doctor:doctor", "Check this machine and these settings"),
    _command("help exit-codes", "help:exit_codes", "What each exit code means"),
    _command("help environment", "help:environment", "Settings and their environment variables"),
    _command("help formats", "help:formats", "Output formats and streams"),
)

BY_PATH = {command.path: command for command in COMMANDS}


def children(group: str) -> dict[str, str]:
    """Word and summary of what stands directly below `group` (`""`: the root), in the help page's order."""
    found: dict[str, str] = {}
    start = group + " " if group else ""
    for command in COMMANDS:
        if command.path.startswith(start):
            word, _, rest = command.path[len(start) :].partition(" ")
            found.setdefault(word, GROUPS[start + word] if rest else command.summary)
    return found


def suggest(words: list[str]) -> list[str]:
    """Command paths that `words` (the last of them is unknown) were probably meant to be; the most likely first."""
    import difflib

    *group, word = words
    start = " ".join(group)
    known = children(start)
    near = difflib.get_close_matches(word.lower(), known, n=2, cutoff=0.6)
    if near:
        return [f"{start} {match}".strip() for match in near]
    # The verb without its noun (`opsml register`), or the noun in its other number (`opsml endpoint show`).
    last: dict[str, list[str]] = {}
    for command in COMMANDS:
        last.setdefault(command.path.split()[-1], []).append(command.path)
    found = difflib.get_close_matches(word.lower(), last, n=1, cutoff=0.8)
    return last[found[0]][:3] if found else []
