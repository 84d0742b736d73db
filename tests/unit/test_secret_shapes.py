"""Secrets are known by their shape, and children are started with what they need alone."""

from __future__ import annotations

import pytest

from opsml_cli.cli.masking import Masking
from opsml_cli.domain.child_environment import kept
from opsml_cli.domain.secret_shapes import looks_secret, redacted

CANARY = "cAnArY0123456789abcdefXYZ"
SECRETS = [
    f"postgres://ada:{CANARY}@db.example:5432/x",
    f"https://{CANARY}@pypi.example/simple",
    f"http://proxy:{CANARY}@10.0.0.1:3128",
    f"https://a.blob.core.windows.net/c/f.csv?sv=2024-01-01&sig={CANARY}%3D&se=2027",
    f"?sv=2024&sig={CANARY}",
    f"https://x.example/hook?code={CANARY}",
    f"https://x.example/?access_token={CANARY}#top",
    f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={CANARY}==;EndpointSuffix=core.windows.net",
    f"Endpoint=sb://a.example/;SharedAccessKeyName=k;SharedAccessKey={CANARY}",
    f"Server=tcp:x;Database=y;User ID=z;Password={CANARY};Encrypt=True",
    f"Authorization: Bearer {CANARY}.{CANARY}",
    f"Authorization: Basic {CANARY}==",
    f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n-----END RSA PRIVATE KEY-----",
    f"ghp_{CANARY}",
    f"client_secret={CANARY}&grant_type=client_credentials",
    f"https://ada:a/{CANARY}@b@db.example/x",
    f"https://s3.example/k?X-Amz-Signature={CANARY}",
    f"sig={CANARY}&sv=2024",
    f"https%3A%2F%2Fa.example%2Fc%3Fsig%3D{CANARY}",
    f"https://hooks.slack.com/services/T/B/{CANARY}",
    f'{{"password": "{CANARY}"}}',
    f'{{"client_secret":"{CANARY}"}}',
    f"authorization: bearer {CANARY}",
    f"x-api-key: {CANARY}",
    f"Ocp-Apim-Subscription-Key: {CANARY}",
    f"mysql --password {CANARY}",
    f"machine x login y password {CANARY}",
    f"hf_{CANARY}",
    f"sk-{CANARY}",
    f"glpat-{CANARY}",
]
HARMLESS = [
    "http://127.0.0.1:21000/score",
    "https://example.org/a.csv?version=2&page=3",
    "opsml score bank --proba",
    "a@b.example wrote: code is 5",
    "Bearer $KEY",
    "key=value without a URL",
    "the bearer of this message",
    "npm install https://registry.example/@scope/name",
    "the key: 5",
    "asked for a password twice",
    "/home/ada/data/t.csv",
    "azureml://subscriptions/x/resourcegroups/y/workspaces/z",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_known_by_its_shape(text: str) -> None:
    assert looks_secret(text)
    assert CANARY not in redacted(f"before {text} after")
    assert CANARY not in Masking().mask(f"{text}\n{text}")
    assert redacted(redacted(text)) == redacted(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_reaches_a_child_that_was_not_named(text: str) -> None:
    base = {"DATABASE_URL": text, "HTTPS_PROXY": text, "PIP_INDEX_URL": text, "MLFLOW_X": text, "SAS": text, "LC_ALL": text}
    base |= {"AZURE_CLIENT_SECRET": CANARY, "MLFLOW_TRACKING_PASSWORD": CANARY, "OPSML_AZURE__CLIENT_SECRET": CANARY}
    base |= {"MY_FLAG": "1", "PATH": "/usr/bin", "HOME": "/home/ada", "OMP_NUM_THREADS": "2", "LANG": "C.UTF-8"}
    found = kept(base)
    assert set(found) == {"PATH", "HOME", "OMP_NUM_THREADS", "LANG"}
    named = kept({**base, "OPSML_PASS_ENVIRONMENT": "MY_FLAG, DATABASE_URL"})
    assert set(named) - set(found) == {"MY_FLAG", "DATABASE_URL", "OPSML_PASS_ENVIRONMENT"}
    assert "MLFLOW_TRACKING_PASSWORD" in kept(base, also=("MLFLOW_",))
