"""Where opsml answers a script's request otherwise than Azure's server, on purpose: by case and request, with the reason."""

from __future__ import annotations

EXIT = (
    "Their worker process ends, gunicorn writes an HTML page, and the next request waits for a new worker. "
    "Here the request fails as for any other exception, with the traceback in the log, and the process serves on."
)
INPUT = "Their server takes a client's bad body for a failure of its own (500). Here it is the client's (400), with the reason."
# (case, request): the reason. The request "" is whether the script starts.
DIFFERENCES: dict[tuple[str, str], str] = {
    ("exceptions in run", "exit"): EXIT,
    ("exceptions in run", "base"): EXIT,
    ("exceptions in run", "timeout"): (
        "Their server takes any TimeoutError of the script, a database's too, for its own time limit, and says that an hour "
        "has passed. Here it is an exception as any other."
    ),
    ("@rawhttp: the response", "no text"): (
        "A response whose content is a number breaks their worker while it is written: an HTML page of gunicorn's. Here: the "
        "JSON error of a script that failed."
    ),
    ("@input_schema: an array", "no UTF-8"): INPUT,
    ("@input_schema: an array", "deep"): INPUT,
    ("modules with names of the server's own", ""): (
        "Their server puts its own folder before the code folder, so that config, utils, routes and other modules of these "
        "names are the server's. Here the script gets its own, and a note says that it will not on Azure."
    ),
}
