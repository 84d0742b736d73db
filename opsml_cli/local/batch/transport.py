"""Blocks of rows on their way to a worker process: Arrow's stream format, or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from opsml_cli.tables.blocks import Block


def sent(block: Block, label: str) -> tuple[dict[str, Any], bytes]:
    """Header and content of a block of the file `label`."""
    header = {"label": label, "first": block.first, "rows": block.rows, "typed": block.columns is not None}
    if block.columns is None:
        return header, json.dumps(block.records).encode()
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, block.columns.schema) as writer:
        writer.write_batch(block.columns)
    return header, sink.getvalue().to_pybytes()


def block_of(header: Mapping[str, Any], content: bytes) -> Block:
    """The block that `sent` wrote."""
    if not header["typed"]:
        return Block(header["first"], header["rows"], None, tuple(json.loads(content)))
    import pyarrow as pa

    with pa.ipc.open_stream(content) as reader:
        batches = list(reader)
    return Block(header["first"], header["rows"], batches[0])
