"""Foreign models as data: compiled in the model's own host process, answered in the front process.

In the host (the model's own Python):

    from opsml_cli.local.serving.compiled.compiling import compile_model
    from opsml_cli.local.serving.compiled.original import MlflowOriginal

    outcome = compile_model(MlflowOriginal(model_folder), target_folder)   # outcome.reason: None, or why not

In the front process, with numpy and LightGBM's C library only:

    from opsml_cli.local.serving.compiled.scorer import UnequalError, load

    scorer = load(target_folder)   # a `Scorer`; UnequalError when it does not answer as the original did

`compile_model` reads the structure of the fitted object and writes arrays, texts of boosters and a JSON document, no code;
beside them a proof: rows with the original's own answers and refusals. `load` evaluates them all and compares.

The host needs this package without `scorer.py`, `opsml_cli.domain` and the model's packages; nothing here imports what is
heavy before it is used.
"""
