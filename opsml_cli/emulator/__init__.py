"""Azure ML's wire over a local workspace. Only the wire is here: state and rules live in `opsml_cli.local`."""
