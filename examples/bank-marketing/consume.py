"""Ask the endpoint over plain HTTP: a URI, a key and rows are all it takes. Standard library only.

export SCORING_URI=$(opsml endpoints show bank-marketing -o tsv --query scoring_uri)
export SCORING_KEY=$(opsml endpoints keys bank-marketing --reveal -o tsv --query primary)
python consume.py request.json
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path


def score(uri: str, key: str, body: bytes) -> object:
    """The endpoint's reply to `body`; RuntimeError with what the endpoint said when it refused."""
    request = urllib.request.Request(
        uri,
        data=body,
        method="POST",
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{error.code}: {error.read().decode(errors='replace')}") from None


def main() -> int:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("request.json")
    try:
        uri, key = os.environ["SCORING_URI"], os.environ["SCORING_KEY"]
    except KeyError as missing:
        print(f"set {missing}; see the head of this file", file=sys.stderr)
        return 2
    try:
        predictions = score(uri, key, path.read_bytes())
    except (RuntimeError, OSError) as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1
    print(json.dumps(predictions))
    return 0


if __name__ == "__main__":
    sys.exit(main())
