"""`opsml models …`"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.session import Session
from opsml_cli.domain.errors import GateError, UsageError
from opsml_cli.domain.model import Model, RegisteredModel, RegisterModel
from opsml_cli.domain.names import parse_ref
from opsml_cli.services.jobs import Downloaded

if TYPE_CHECKING:
    from opsml_cli.cli.result import Verdict
    from opsml_cli.domain.comparison import Comparison
    from opsml_cli.domain.endpoint import Row
    from opsml_cli.domain.explanation import Explanation

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
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="A folder in MLflow format, with its file MLmodel; or a model file.")
    ],
    version: Annotated[str | None, typer.Option("--version", help="The version; the next number unless given.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="The folder was not trained by opsml, and its code may run here.")
    ] = False,
    description: options.Description = None,
    tag: options.Tags = None,
    dry_run: options.DryRun = False,
) -> RegisteredModel:
    """Register a model folder in MLflow format as a new immutable version.

    A model file of scikit-learn (.pkl, .joblib, .skops), LightGBM, XGBoost, CatBoost or ONNX is wrapped into such a folder.

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


def compare(
    session: Session,
    a: Annotated[str, typer.Argument(metavar="A[:VERSION]", help="The model that the verdict is of.")],
    b: Annotated[str, typer.Argument(metavar="B[:VERSION]", help="The model to compare it with.")],
    data: Annotated[
        str | None, typer.Option("--data", metavar="NAME[:V]|PATH", help="Rows that neither model has learned from.")
    ] = None,
    target_column: Annotated[str | None, typer.Option("--target-column", help="The column with the truth; A's target.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="The metric of the verdict.")] = None,
    gate: Annotated[str | None, typer.Option("--gate", help="better or not-worse: exit 10 unless A is.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the drawn rows.")] = 0,
) -> Comparison | Verdict:
    """Compare two models on the same rows, with a paired 95 % interval and a verdict.

    Example: opsml models compare bank-y:2 bank-y:1 --data fresh.csv --gate not-worse
    """
    from opsml_cli.cli.result import Verdict
    from opsml_cli.domain.comparison import GATES, CompareModels
    from opsml_cli.services.train import table_source

    if gate is not None and gate not in GATES:
        raise UsageError(f"--gate {gate!r} is unknown", cause=f"known are: {', '.join(GATES)}")
    source = table_source(session.require(data, "--data"))
    found = session.workspace.models.compare(
        CompareModels(parse_ref(a, "model name"), parse_ref(b, "model name"), source, target_column, metric, seed)
    )
    for name in found.trained_on:
        session.progress.warn(f"{name} has learned from this very data: its figures flatter, compare on other rows")
    if gate is None or found.verdict in GATES[gate]:
        return found
    low, high = found.interval
    return Verdict(
        found,
        GateError(
            f"{found.a} is not {'better' if gate == 'better' else 'good enough'} beside {found.b}: {found.verdict}",
            cause=f"{found.metric} differs by {found.difference:.4f} ({low:.4f} to {high:.4f})",
        ),
    )


def explain(
    session: Session,
    model: ModelRef,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[INPUT]", help="Rows to explain one by one: CSV, JSON, JSON lines or Parquet; - is standard input."
        ),
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=1, help="Explain N rows of the registered training data.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="NAME[:V]|PATH", help="The rows that the model is seen against; its training data."),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--class", metavar="LABEL", help="Explain this class's probability; the positive one's.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=0, max=50, help="Columns whose partial dependence is shown.")] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the drawn rows.")] = 0,
) -> Explanation:
    """Explain a model: which columns move its answers, how, and why single rows get theirs.

    A row's contributions add up from the average answer to its own, exactly.

    Example: opsml models explain bank-y --sample 3
    """
    from opsml_cli.domain.explanation import ExplainModel
    from opsml_cli.services import score as scoring
    from opsml_cli.services.train import table_source

    ref = parse_ref(model, "model name")
    if source is not None and sample is not None:
        raise UsageError("INPUT and --sample exclude each other", fix="give one of them")
    rows: Sequence[Row] = ()
    if sample is not None:
        rows = scoring.sample(session.workspace, scoring.Target(model=ref), sample)
    elif source is not None:
        from opsml_cli.cli.input_rows import input_rows

        rows = input_rows(session, source, scoring.Target(model=ref))
    given = None if data is None else table_source(data)
    return session.workspace.models.explain(ExplainModel(ref, rows, given, label, top, seed))
