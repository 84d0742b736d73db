"""A worker process of a batch run: `python -P -m opsml_cli.local.batch.worker`.

Foreign code runs here, never in the process that keeps the results. It reads frames from its standard input and answers on
what was its standard output; whatever the foreign code prints goes to the step's log. When the run ends, so does it."""

from __future__ import annotations

import json
import os
import struct
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from opsml_cli.local.batch.orphan import end_with_parent

_LENGTHS = struct.Struct(">QQ")

# From a mini-batch's header and content to its lines and how many results they are.
Work = Callable[[Mapping[str, Any], bytes], tuple[bytes, int]]


def write_frame(stream: BinaryIO, header: Mapping[str, Any], content: bytes = b"") -> None:
    text = json.dumps(header).encode()
    stream.write(_LENGTHS.pack(len(text), len(content)) + text)
    stream.write(content)
    stream.flush()


def read_frame(read: Callable[[int], bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next frame; None at the end. `read` gives as many bytes as it is asked for, fewer at the end."""
    start = read(_LENGTHS.size)
    if len(start) < _LENGTHS.size:
        return None
    first, second = _LENGTHS.unpack(start)
    text, content = read(first), read(second)
    if len(text) < first or len(content) < second:
        return None
    header: dict[str, Any] = json.loads(text)
    return header, content


def main() -> int:
    end_with_parent()
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    # The frames' own streams are out of the foreign code's reach.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    begin = read_frame(requests.read)
    if begin is None:
        return 0
    try:
        work = _loaded(begin[0])
    except BaseException as error:
        traceback.print_exc()
        write_frame(replies, {"error": _told(error), "final": True})
        return 1
    write_frame(replies, {"ready": True})
    while (frame := read_frame(requests.read)) is not None:
        header, content = frame
        try:
            lines, count = work(header, content)
        except BaseException as error:
            final = getattr(error, "final", False)
            if not final:
                traceback.print_exc()
            write_frame(replies, {"error": _told(error), "final": final})
        else:
            write_frame(replies, {"count": count}, lines)
    return 0


def _told(error: BaseException) -> str:
    from opsml_cli.domain.errors import OpsmlError
    from opsml_cli.local.batch.minibatch import MiniBatchError

    if isinstance(error, MiniBatchError):
        return str(error)
    if isinstance(error, OpsmlError):
        return error.message + (f": {error.cause}" if error.cause else "")
    return f"{type(error).__name__}: {error}"


def _loaded(begin: Mapping[str, Any]) -> Work:
    kind = begin["kind"]
    if kind == "script":
        from opsml_cli.local.batch.scripted import BatchScript

        model = Path(begin["model"]) if begin["model"] else None
        script = BatchScript(Path(begin["code"]), begin["entry"], model, Path(begin["output"]), begin["logging_level"])
        return lambda header, _: script.lines(header["files"])
    from opsml_cli.local.batch.own_model import OwnModel

    return _over_rows(OwnModel(Path(begin["model"])))


def _over_rows(model: Any) -> Work:
    from opsml_cli.local.batch import lines
    from opsml_cli.local.batch.minibatch import InputFile, MiniBatch
    from opsml_cli.local.batch.transport import block_of

    def work(header: Mapping[str, Any], content: bytes) -> tuple[bytes, int]:
        label = header["label"]
        block = block_of(header, content)
        results = model.results(MiniBatch(0, 0, (InputFile(Path(), label),), block))
        return lines.of_predictions(results, block.first, label), len(results)

    return work


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Arrow's threads may still be about, and where they are the interpreter's own end aborts.
    os._exit(code)
