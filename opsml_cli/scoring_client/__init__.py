"""Talking to an online endpoint as any client would, wherever it is served."""

from opsml_cli.scoring_client.answers import Answer
from opsml_cli.scoring_client.bodies import batches, dialect_of, read_reply, read_results
from opsml_cli.scoring_client.client import DEPLOYMENT_HEADER, MODEL_STATUS_HEADER, Address, ScoringClient
from opsml_cli.scoring_client.stream import EndpointScorer

__all__ = [
    "DEPLOYMENT_HEADER",
    "MODEL_STATUS_HEADER",
    "Address",
    "Answer",
    "EndpointScorer",
    "ScoringClient",
    "batches",
    "dialect_of",
    "read_reply",
    "read_results",
]
