"""`opsml models …`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.session import Session
from opsml_cli.domain.model import Model, RegisteredModel, RegisterModel
from opsml_cli.domain.names import parse_ref
from opsml_cli.services.jobs import Downloaded

ModelRef = Annotated[str, typer.Argument(metavar="MODEL[:VERSION]", help="The model; its latest version unless one is given.")]


def list_(
    session: Session, name: Annotated[str | None, typer.Argument(help="Every version of this model.")] = None
) -> Sequence[Model]:
    """List models, or the versions of one.

    Example: opsml models list
    """
    return session.workspace.models.list(name)


def show(session: Session, model: ModelRef) -> Model:
    """Show a model.

    Example: opsml models show bank-y
    """
    return session.workspace.models.get(parse_ref(model, "model name"))


def register(
    session: Session,
    name: Annotated[str, typer.Argument(help="The model's name.")],
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="A folder in MLflow format: it holds the file MLmodel.")],
    version: Annotated[str | None, typer.Option("--version", help="The version; the next number unless given.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="The folder was not trained by opsml, and its code may run here.")
    ] = False,
    description: options.Description = None,
    tag: options.Tags = None,
    dry_run: options.DryRun = False,
) -> RegisteredModel:
    """Register a model folder in MLflow format as a new immutable version.

    Example: opsml models register churn ./mlflow-model --trust
    """
    return session.workspace.models.register(
        RegisterModel(
            name=name,
            path=folder,
            version=version,
            trust=trust,
            description=description,
            tags=options.pairs(tag, "--tag"),
            dry_run=dry_run,
        )
    )


def download(
    session: Session,
    model: ModelRef,
    to: Annotated[str, typer.Option("--to", metavar="DIR", help="The folder to copy into.")] = ".",
) -> Downloaded:
    """Copy a model's folder to DIR/NAME-VERSION, verified against its hash.

    Example: opsml models download bank-y --to models
    """
    return Downloaded(model, tuple(session.workspace.models.download(parse_ref(model, "model name"), to)))
