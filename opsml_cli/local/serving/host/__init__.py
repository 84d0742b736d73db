"""The process of one foreign deployment: a scoring script or an MLflow folder, with an environment and files of its own.

Nothing here may import what a model's own environment lacks: the standard library, `opsml_cli.domain` (copied beside it), and,
inside functions, the packages that the model itself brings."""
