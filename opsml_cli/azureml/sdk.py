"""Azure's SDK for Python, made quiet: its output and warnings go to the debug log, its exceptions become the error tree's."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from opsml_cli.azureml import errors
from opsml_cli.domain.errors import NotSignedInError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from opsml_cli.azureml.context import Context

T = TypeVar("T")
log = logging.getLogger("opsml.azure.sdk")


class _ToLog(io.TextIOBase):
    """A stream whose lines go to the debug log."""

    def __init__(self, name: str) -> None:
        self._name = name

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text.strip():
            log.debug("%s: %s", self._name, text.rstrip())
        return len(text)


@contextlib.contextmanager
def quiet(what: str) -> Iterator[None]:
    """For every use of the SDK, its import included: no output, no warnings, and errors of the error tree that begin with
    `what`."""
    with (
        contextlib.redirect_stdout(_ToLog("stdout")),
        contextlib.redirect_stderr(_ToLog("stderr")),
        warnings.catch_warnings(),
        errors.translated(what),
    ):
        warnings.simplefilter("ignore")
        yield


def signed_in(context: Context, what: str, call: Callable[[MLClient], T]) -> T:
    """What `call` gives, made quietly with the context's client; once more with a new token when Azure refused one that looked
    good, as it may in the middle of a wait: the SDK keeps its own until the hour that is written in it. So `call` has to be
    one that may be repeated."""
    client = context.sdk()
    try:
        with quiet(what):
            return call(client)
    except NotSignedInError:
        context.renew()
        with quiet(what):
            return call(context.sdk())


def make_client(context: Context) -> MLClient:
    """MLClient for the context's workspace and cloud, without telemetry and progress bars."""
    from opsml_cli.azureml.rest import ATTEMPTS
    from opsml_cli.azureml.tls import bundle

    found = bundle(context.settings.ca_bundle)
    if found is not None:
        # Its blob clients are made without options: the environment is the only way to them all.
        os.environ["REQUESTS_CA_BUNDLE"] = found[0]
    with quiet("loading Azure's SDK"):
        from azure.ai.ml import MLClient

        for name in ("azure", "msrest", "urllib3"):
            logging.getLogger(name).setLevel(logging.DEBUG if log.isEnabledFor(logging.DEBUG) else logging.CRITICAL)
        cloud = context.cloud
        return MLClient(
            context.identity,
            context.place.subscription_id,
            context.place.resource_group,
            context.place.workspace_name,
            # The SDK keeps the clouds that it was told of by name, for the whole process.
            cloud=f"{cloud.name}-{urlsplit(cloud.resource_manager).netloc}" if cloud.private else cloud.name,
            cloud_metadata=cloud.sdk_metadata(),
            show_progress=False,
            enable_telemetry=False,
            # Its own ten attempts, each waiting twice as long, would be silent for minutes.
            retry_total=ATTEMPTS - 1,
            retry_backoff_max=context.settings.longest_wait,
        )
