"""Alert rules of endpoints of this machine. The local service looks at them while it runs, and says in the endpoint's log
when one begins or ceases to fire."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from opsml_cli.domain import names
from opsml_cli.domain.alert import Alert, AlertSaved, AlertState, Condition, parse_condition
from opsml_cli.domain.errors import NotFoundError
from opsml_cli.domain.fields import did_you_mean
from opsml_cli.local.clock import now
from opsml_cli.local.log_stream import SERVER_FOLDER

if TYPE_CHECKING:
    from opsml_cli.local.endpoints import LocalEndpoints
    from opsml_cli.local.insights import LocalInsights
    from opsml_cli.local.layout import Layout
    from opsml_cli.local.store import Store

LOG = "alerts.jsonl"
OLDER = f"{LOG}.1"  # what was told before; what was told before that is gone
LOG_BYTES = 1 << 20
LOOK_SECONDS = 5.0


class LocalAlerts:
    """The `alerts` group of a local workspace."""

    def __init__(self, layout: Layout, store: Store, endpoints: LocalEndpoints, insights: LocalInsights) -> None:
        self._layout = layout
        self._store = store
        self._endpoints = endpoints
        self._insights = insights

    def create(self, endpoint: str, rule: Condition, *, serve: bool = True) -> AlertSaved:
        """As the port says. `serve`: start the local service, which watches, when it is down."""
        found = self._endpoints.get(endpoint)
        with self._store.write() as connection:
            for each in _of(connection, found.name):
                if each.rule == rule:
                    return AlertSaved(each, True)
            alert = Alert(found.name, rule.name, rule, now())
            _save(connection, alert)
        if serve:
            self._service_up()
        return AlertSaved(alert, False)

    def list(self, endpoint: str) -> Sequence[Alert]:
        found = self._endpoints.get(endpoint)
        with self._store.read() as connection:
            return _of(connection, found.name)

    def delete(self, endpoint: str, name: str) -> None:
        known = [alert.name for alert in self.list(endpoint)]
        with self._store.write() as connection:
            gone = connection.execute(
                "DELETE FROM alerts WHERE endpoint_key=? AND name_key=?", (names.key(endpoint), names.key(name))
            ).rowcount
        if not gone:
            raise NotFoundError(
                f"endpoint {endpoint} has no alert {name!r}",
                cause=did_you_mean(name, known),
                fix=f"opsml insights alerts {endpoint}",
            )

    def look(self) -> float:
        """Look at every rule once, and note what has changed; the seconds after which to look again."""
        if not self._store.exists():
            return LOOK_SECONDS
        with self._store.read() as connection:
            rows = connection.execute("SELECT document FROM alerts ORDER BY endpoint_key, name_key").fetchall()
        for alert in (_alert(row["document"]) for row in rows):
            try:
                stats = self._insights.stats(alert.endpoint, alert.rule.window_seconds)
            except NotFoundError:
                continue  # deleted meanwhile, and its rules with it
            value = alert.rule.value(stats)
            state = AlertState.NO_DATA if value is None else AlertState.FIRING if alert.rule.holds(value) else AlertState.OK
            self._note(alert, state, value)
        return LOOK_SECONDS

    def _note(self, alert: Alert, state: AlertState, value: float | None) -> None:
        changed = replace(alert, state=state, value=value, since=alert.since if state is alert.state else now())
        if changed == alert:
            return
        if AlertState.FIRING in (state, alert.state) and state is not alert.state:
            # First the line, then the record: a kill in between repeats the line, and loses none.
            self._tell(changed)
        with self._store.write() as connection:
            current = next((each for each in _of(connection, alert.endpoint) if each.name == alert.name), None)
            if current is not None and current.rule == alert.rule:
                _save(connection, changed)

    def _tell(self, alert: Alert) -> None:
        firing = alert.state is AlertState.FIRING
        line = {
            "timestamp": alert.since,
            "level": "warning" if firing else "info",
            "kind": "alert",
            "message": f"alert {alert.rule} {'fires' if firing else 'is over'}: {alert.rule.shown(alert.value)}",
        }
        path = self._layout.endpoint(alert.endpoint) / SERVER_FOLDER / LOG
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size >= LOG_BYTES:
            path.replace(path.with_name(OLDER))
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _service_up(self) -> None:
        from opsml_cli.local.service.process import LocalService

        LocalService(self._layout).up()


def _of(connection: sqlite3.Connection, endpoint: str) -> list[Alert]:
    rows = connection.execute(
        "SELECT document FROM alerts WHERE endpoint_key=? ORDER BY created_at, name_key", (names.key(endpoint),)
    )
    return [_alert(row["document"]) for row in rows]


def _save(connection: sqlite3.Connection, alert: Alert) -> None:
    document = {
        "endpoint": alert.endpoint,
        "name": alert.name,
        "rule": str(alert.rule),
        "created_at": alert.created_at,
        "state": alert.state.value,
        "value": alert.value,
        "since": alert.since,
    }
    connection.execute(
        "INSERT OR REPLACE INTO alerts(endpoint_key, name_key, created_at, document) VALUES(?,?,?,?)",
        (names.key(alert.endpoint), names.key(alert.name), alert.created_at, json.dumps(document)),
    )


def _alert(text: str) -> Alert:
    document = json.loads(text)
    rule = parse_condition(document.pop("rule"))
    return Alert(rule=rule, state=AlertState(document.pop("state")), **document)
