"""From a fitted model to a document and arrays, by its structure. Runs where the model's own packages are installed.

Only exact types and parameters that are known are read; anything else raises `UnknownError`, which names it."""
