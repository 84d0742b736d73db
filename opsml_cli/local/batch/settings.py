"""What the step of a batch run is told, as JSON in its environment."""

from __future__ import annotations

import json
from dataclasses import dataclass

VARIABLE = "BATCH_SCORING"


@dataclass(frozen=True, slots=True)
class Settings:
    """`error_threshold`: how many files may fail (-1: any number); `append`: predictions are written, not only counted;
    `label`: how the one file of an input is called. `script`, a path in the working folder, scores `batch` files at a time in
    place of the model, which it finds as `mount`. `workers`: mini-batches at once; `retries` and `timeout` (seconds) are of
    each mini-batch. `identity`: a digest of what else decides the results."""

    file_name: str = "predictions.csv"
    error_threshold: int = -1
    append: bool = True
    label: str | None = None
    script: str | None = None
    batch: int = 10
    mount: str = "model"
    workers: int = 1
    retries: int = 3
    timeout: float = 30.0
    logging_level: str = "info"
    identity: str = ""

    @classmethod
    def read(cls, text: str) -> Settings:
        return cls(**json.loads(text or "{}"))
