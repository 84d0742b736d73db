"""Text that is read in pieces of bytes."""

from __future__ import annotations


def whole_characters(content: bytes) -> bytes:
    """`content` without a UTF-8 sequence that its end cuts in two."""
    for back in range(1, min(4, len(content)) + 1):
        byte = content[-back]
        if byte & 0xC0 == 0x80:
            continue
        needed = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return content[:-back] if needed > back else content
    return content
