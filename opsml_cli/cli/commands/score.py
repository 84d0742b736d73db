"""`opsml score`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from opsml_cli.cli import options
from opsml_cli.cli.session import Session
from opsml_cli.domain.errors import UsageError
from opsml_cli.domain.names import parse_ref
from opsml_cli.services import score as scoring

if TYPE_CHECKING:
    from opsml_cli.domain.endpoint import ScoreResult
    from opsml_cli.services.score import ScoredFile


def score(
    session: Session,
    endpoint: Annotated[str | None, typer.Argument(metavar="[ENDPOINT]", help="The endpoint; not with --model.")] = None,
    source: Annotated[
        str | None, typer.Argument(metavar="[INPUT]", help="CSV, JSON, JSON lines or Parquet; - is standard input.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=1, help="Take N rows of the model's registered training data.")
    ] = None,
    proba: Annotated[bool, typer.Option("--proba", help="Probabilities of the classes too.")] = False,
    deployment: options.Deployment = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME[:V]", help="Score with this model in this process, with no server.")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help="Write predictions here: .csv, .json or .jsonl.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Print the endpoint's reply as it came.")] = False,
) -> ScoreResult | ScoredFile | str:
    """Score rows on an endpoint, or with a model in this process.

    Example: opsml score bank customers.csv --proba --out scores.csv
    """
    if model is not None:
        if source is not None or deployment is not None or raw:
            raise UsageError("--model scores in this process: it goes with INPUT alone", fix="opsml score --model NAME INPUT")
        # Without an endpoint, the first word is the input.
        source, endpoint = endpoint, None
    elif endpoint is None:
        raise UsageError("ENDPOINT is missing", fix="opsml endpoints list shows them; or score with --model NAME")
    if (source is None) == (sample is None):
        raise UsageError("give INPUT or --sample N", cause="neither was given" if source is None else "both were given")
    target = scoring.Target(endpoint, deployment, parse_ref(model, "model name") if model is not None else None)
    if sample is not None:
        rows = scoring.sample(session.workspace, target, sample)
    else:
        from opsml_cli.tables import read_rows

        rows = read_rows(str(source))
    result = scoring.score(session.workspace, target, rows, proba=proba)
    if out is not None:
        return scoring.write(result, out)
    return result.raw or "" if raw else result
