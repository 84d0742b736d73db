"""config, doctor, init, workspace and help, as a person or a script runs them."""

from __future__ import annotations

import json
import sqlite3
import tomllib

import pytest


def _json(opsml, *arguments, **options):
    code, out, err = opsml(*arguments, "-o", "json", **options)
    assert code == 0, err
    return json.loads(out)


def test_config_show(opsml, tmp_path) -> None:
    (tmp_path / "opsml.toml").write_text('[azure]\nauth = "cli"\n[workspaces.scratch]\nkind = "local"\n')
    environment = {"OPSML_AZURE__CLIENT_SECRET": "canary-canary", "OPSML_WORKSPACE": "scratch"}
    rows = _json(opsml, "config", "show", env=environment)
    assert all(set(row) == {"name", "value", "origin"} for row in rows)
    by_name = {row["name"]: (row["value"], row["origin"]) for row in rows}
    assert by_name["workspace"] == ("scratch", "env OPSML_WORKSPACE")
    assert by_name["azure.auth"] == ("cli", str(tmp_path / "opsml.toml"))
    assert by_name["azure.tenant_id"] == (None, "default")
    assert by_name["azure.client_secret"] == ("***", "env OPSML_AZURE__CLIENT_SECRET")
    assert by_name["workspaces.scratch.kind"] == ("local", str(tmp_path / "opsml.toml"))
    for form in ("table", "tsv", "yaml", "jsonl"):
        _, out, err = opsml("config", "show", "-o", form, env=environment)
        assert "canary" not in out + err


def test_workspace_show(opsml, tmp_path) -> None:
    assert _json(opsml, "workspace", "show") == {
        "name": "local", "kind": "local", "location": str(tmp_path / ".opsml"), "origin": "default"
    }  # fmt: skip
    assert not (tmp_path / ".opsml").exists()
    assert _json(opsml, "-w", "local", "workspace", "show")["origin"] == "flag -w"
    assert opsml("workspace", "show", "-w", "nope").exit_code == 2


def test_init_writes_once(opsml, tmp_path) -> None:
    path = tmp_path / "opsml.toml"
    fields = {"path", "workspace", "unchanged", "dry_run"}
    planned = _json(opsml, "init", "--dry-run")
    assert set(planned) == fields
    assert not path.exists()
    assert _json(opsml, "init")["unchanged"] is False
    first = path.read_text()
    assert tomllib.loads(first)["workspace"] == "local"
    assert _json(opsml, "init")["unchanged"] is True
    code, out, err = opsml("init", "--subscription-id", 's"\\', "-o", "json")
    assert (code, out) == (2, "")
    assert "--yes" in err
    assert path.read_text() == first
    _json(opsml, "init", "--subscription-id", 's"\\', "--yes")
    assert tomllib.loads(path.read_text())["azure"] == {"subscription_id": 's"\\'}
    assert opsml("config", "show").exit_code == 0


def test_doctor(opsml) -> None:
    diagnosis = _json(opsml, "doctor")
    assert diagnosis["ok"] is True
    assert {check["check"] for check in diagnosis["checks"]} >= {
        "python", "packages", "lightgbm", "loopback", "settings", "workspace folder", "disk space", "database", "azure settings"
    }  # fmt: skip
    assert all(set(check) == {"check", "ok", "detail", "fix"} for check in diagnosis["checks"])


@pytest.mark.parametrize("damage", ["text", "newer"])
def test_doctor_finds_a_bad_database(opsml, tmp_path, damage) -> None:
    folder = tmp_path / ".opsml"
    folder.mkdir()
    database = folder / "workspace.db"
    if damage == "text":
        database.write_text("this is no database " * 100)
    else:
        connection = sqlite3.connect(database)
        connection.execute("PRAGMA user_version=9999")
        connection.close()
    before = database.read_bytes()
    code, out, err = opsml("doctor", "-o", "json")
    assert code == 2
    [bad] = [check for check in json.loads(out)["checks"] if not check["ok"]]
    assert bad["check"] == "database"
    assert bad["fix"]
    assert json.loads(err)["error"]["code"] == "configuration"
    assert database.read_bytes() == before


def test_doctor_tells_bad_settings(opsml, tmp_path) -> None:
    (tmp_path / "opsml.toml").write_text("nonsense = 1\n")
    code, out, _ = opsml("doctor", "-o", "json")
    assert code == 2
    assert json.loads(out)["ok"] is False


def test_help_topics(opsml) -> None:
    codes = _json(opsml, "help", "exit-codes")
    assert [row["exit_code"] for row in codes] == [*range(11), 130, 143]
    assert all(row["meaning"] for row in codes)
    variables = [row["variable"] for row in _json(opsml, "help", "environment")]
    assert {"OPSML_WORKSPACE", "OPSML_AZURE__AUTH", "NO_COLOR", "GITHUB_OUTPUT"} <= set(variables)
    formats = [row["format"] for row in _json(opsml, "help", "formats")]
    assert formats[:6] == ["table", "json", "jsonl", "tsv", "yaml", "none"]
