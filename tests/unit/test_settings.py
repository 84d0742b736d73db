"""Settings: which source wins, where a value came from, and what a checkout may not say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from opsml_cli import settings, workspaces
from opsml_cli.domain.errors import ConfigError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for the user's settings."""
    for name in ("XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def _user(text: str) -> Path:
    path = settings.user_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_defaults(project) -> None:
    loaded = settings.load({}, cwd=project)
    assert loaded.settings.workspace == "local"
    assert loaded.settings.azure.auth == "default"
    assert dict(loaded.origins) == {}


def test_precedence_and_origins(project) -> None:
    """Each source is taken away in turn, from the strongest to the weakest."""
    user = _user('[azure]\nresource_group = "user"\n')
    studio = project / "config.json"
    studio.write_text(json.dumps({"subscription_id": "s", "resource_group": "studio", "workspace_name": "w"}))
    toml = project / "opsml.toml"
    toml.write_text('[azure]\nresource_group = "toml"\n')
    dotenv = project / ".env"
    dotenv.write_text("FOREIGN=1\nOPSML_AZURE__RESOURCE_GROUP=dotenv\n")
    below = project / "a" / "b"
    below.mkdir(parents=True)
    variable = {"OPSML_AZURE__RESOURCE_GROUP": "env"}
    for value, origin, take_away in (
        ("env", "env OPSML_AZURE__RESOURCE_GROUP", variable.clear),
        ("dotenv", str(dotenv), dotenv.unlink),
        ("toml", str(toml), lambda: toml.write_text("")),
        ("studio", str(studio), studio.unlink),
        ("user", str(user), user.unlink),
        (None, None, lambda: None),
    ):
        loaded = settings.load(variable, cwd=below)
        assert loaded.settings.azure.resource_group == value
        assert loaded.origins.get("azure.resource_group") == origin
        take_away()


def test_the_flag_wins(project) -> None:
    (project / "opsml.toml").write_text('workspace = "azure"\n')
    loaded = settings.load({"OPSML_WORKSPACE": "staging"}, workspace="local", cwd=project)
    assert (loaded.settings.workspace, loaded.origins["workspace"]) == ("local", "flag -w")


def test_sources_are_merged_key_by_key(project) -> None:
    (project / "opsml.toml").write_text('[azure]\nsubscription_id = "s"\nresource_group = "r"\n')
    loaded = settings.load({"OPSML_AZURE__WORKSPACE_NAME": "w"}, cwd=project)
    assert loaded.azure_complete()


def test_a_config_json_of_somebody_else_is_ignored(project) -> None:
    for text in ("{}", "[1]", "no json", '{"subscription_id": 1, "resource_group": "r", "workspace_name": "w"}'):
        (project / "config.json").write_text(text)
        assert not settings.load({}, cwd=project).azure_complete()


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('\nworkspce = "local"\n', 2, "'workspace'"),
        ('[azure]\n# x\nsubscrption_id = "s"\n', 3, "'subscription_id'"),
        ('azure.auht = "cli"\n', 1, "'auth'"),
        ('[workspaces.staging]\nkind = "local"\npth = "x"\n', 3, "'path'"),
        ("[local\n", 1, "TOML"),
        ("workspace = [\n", 1, "TOML"),
        ('[azure]\nauth = "magic"\n', 2, "azure.auth"),
        ('[workspaces.staging]\npath = "x"\n', 1, "kind is missing"),
        ("workspace = 3\n", 1, "workspace"),
    ],
)
def test_mistakes_are_named_with_their_line(project, text, line, words) -> None:
    (project / "opsml.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        settings.load({}, cwd=project)
    assert f"opsml.toml, line {line}" in caught.value.message
    assert words in f"{caught.value.message} {caught.value.cause}"


@pytest.mark.parametrize(
    "environment", [{"OPSML_WORKSPCE": "x"}, {"OPSML_AZURE__AUHT": "x"}, {"OPSML_AZUR__AUTH": "x"}, {"OPSML_AZURE": "x"}]
)
def test_mistakes_in_variables(project, environment) -> None:
    with pytest.raises(ConfigError):
        settings.load(environment, cwd=project)


def test_mistakes_in_a_dotenv_are_named_with_their_line(project) -> None:
    (project / ".env").write_text("A=1\n\nexport OPSML_AZURE__AUHT=x\n")
    with pytest.raises(ConfigError, match=r"\.env, line 3: unknown setting 'azure\.auht'"):
        settings.load({}, cwd=project)


@pytest.mark.parametrize("key", settings.USER_ONLY)
@pytest.mark.parametrize("section", ["azure", "workspaces.staging"])
@pytest.mark.parametrize("source", ["toml", "dotenv", "dotenv json"])
def test_a_checkout_cannot_say_where_tokens_go(project, key, section, source) -> None:
    name = f"{section}.{key}"
    if source == "toml":
        (project / "opsml.toml").write_text(f'{name} = "https://evil.example"\n')
    elif source == "dotenv":
        (project / ".env").write_text(f"{settings.variable(tuple(name.split('.')))}=https://evil.example\n")
    else:
        first, *rest = name.split(".")
        value: object = "https://evil.example"
        for part in reversed(rest):
            value = {part: value}
        (project / ".env").write_text(f"OPSML_{first.upper()}='{json.dumps(value)}'\n")
    with pytest.raises(ConfigError, match=f"{name} is not allowed in a project file"):
        settings.load({}, cwd=project)


@pytest.mark.parametrize("key", settings.USER_ONLY)
def test_the_user_may_say_where_tokens_go(project, key) -> None:
    assert getattr(settings.load({f"OPSML_AZURE__{key.upper()}": "x"}, cwd=project).settings.azure, key) == "x"
    _user(f'[azure]\n{key} = "y"\n')
    assert getattr(settings.load({}, cwd=project).settings.azure, key) == "y"


def test_a_secret_is_not_for_the_project_file_and_never_told(project) -> None:
    (project / "opsml.toml").write_text('[azure]\nclient_secret = "canary-canary"\n')
    with pytest.raises(ConfigError) as caught:
        settings.load({}, cwd=project)
    assert "canary" not in str(caught.value.document())
    (project / "opsml.toml").unlink()
    loaded = settings.load({"OPSML_AZURE__CLIENT_SECRET": "canary-canary"}, cwd=project)
    assert list(loaded.secrets()) == ["canary-canary"]
    assert "canary" not in repr(loaded)


def test_a_wrong_value_is_not_repeated(project) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.load({"OPSML_AZURE__AUTH": "canary-canary"}, cwd=project)
    assert "canary" not in str(caught.value.document())


# --- workspaces


def test_named_workspaces(project) -> None:
    (project / "opsml.toml").write_text(
        '[workspaces.Scratch]\nkind = "local"\npath = "../scratch"\n[workspaces.plain]\nkind = "local"\n'
        '[workspaces.staging]\nkind = "azure"\nsubscription_id = "s"\nresource_group = "r"\nworkspace_name = "w"\n'
    )
    choice = workspaces.choose(settings.load({}, workspace="scratch", cwd=project), project)
    assert (choice.name, choice.kind, choice.location) == ("Scratch", "local", str(project.parent / "scratch"))
    assert workspaces.choose(settings.load({}, workspace="plain", cwd=project)).location == str(project / ".opsml-plain")
    loaded = settings.load({}, workspace="staging", cwd=project)
    assert workspaces.choose(loaded).location == "s/r/w"
    opened = workspaces.open_workspace(loaded)
    assert (opened.name, opened.kind, opened.location) == ("staging", "azure", "s/r/w")
    with pytest.raises(ConfigError) as caught:
        workspaces.choose(settings.load({}, workspace="stagin", cwd=project))
    assert "'staging'" in str(caught.value.cause)


def test_built_in_names_cannot_be_taken(project) -> None:
    (project / "opsml.toml").write_text('[workspaces.LOCAL]\nkind = "azure"\n')
    with pytest.raises(ConfigError, match="taken"):
        settings.load({}, cwd=project)


def test_an_incomplete_azure_workspace_says_what_is_missing(project) -> None:
    with pytest.raises(ConfigError) as caught:
        workspaces.choose(settings.load({"OPSML_AZURE__RESOURCE_GROUP": "r"}, workspace="azure", cwd=project))
    assert "OPSML_AZURE__SUBSCRIPTION_ID" in str(caught.value.fix)


def test_where_the_local_folder_is(project) -> None:
    below = project / "a" / "b"
    below.mkdir(parents=True)

    def folder(**environment: str) -> Path:
        return settings.local_folder(settings.load(environment, cwd=below), below)[0]

    assert folder() == below / ".opsml"
    (project / "opsml.toml").write_text("")
    assert folder() == project / ".opsml"
    (project / "a" / ".opsml").mkdir()
    assert folder() == project / "a" / ".opsml"
    (project / "opsml.toml").write_text('[local]\npath = "elsewhere"\n')
    assert folder() == project / "elsewhere"
    assert folder(OPSML_LOCAL__PATH="here") == below / "here"


@given(st.text(max_size=80))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
def test_any_project_file_is_read_or_refused(project, text) -> None:
    (project / "opsml.toml").write_text(text, encoding="utf-8", errors="replace")
    try:
        settings.load({}, cwd=project)
    except ConfigError as error:
        assert "opsml.toml" in error.message


def test_every_setting_is_described(project) -> None:
    described = {name for name, _, _ in settings.environment_variables()}
    fields = {"workspace", "local.path", *(f"azure.{field}" for field in settings.AzureSettings.model_fields)}
    assert described == {settings.variable(tuple(field.split("."))) for field in fields}


def test_the_sdks_own_config_is_read(project) -> None:
    place = project / ".azureml"
    place.mkdir()
    (place / "config.json").write_text(json.dumps({"subscription_id": "s", "resource_group": "r", "workspace_name": "w"}))
    below = project / "a" / "b"
    below.mkdir(parents=True)
    for folder in (project, below):
        loaded = settings.load({}, cwd=folder)
        assert loaded.azure_complete() and loaded.origins["azure.workspace_name"] == str(place / "config.json")
    (project / "config.json").write_text(json.dumps({"subscription_id": "s", "resource_group": "r", "workspace_name": "own"}))
    assert settings.load({}, cwd=project).settings.azure.workspace_name == "own"


def test_blanks_around_ids_are_trimmed_and_blanks_inside_are_named(project) -> None:
    loaded = settings.load({"OPSML_AZURE__SUBSCRIPTION_ID": "  sub-id\n", "OPSML_AZURE__RESOURCE_GROUP": "\trg "}, cwd=project)
    assert (loaded.settings.azure.subscription_id, loaded.settings.azure.resource_group) == ("sub-id", "rg")
    for text in ("sub id", "sub\nid"):
        with pytest.raises(ConfigError, match="subscription_id"):
            settings.load({"OPSML_AZURE__SUBSCRIPTION_ID": text}, cwd=project)
