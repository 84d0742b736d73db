"""Secrets that are known by their shape: in URLs, connection strings, headers and tokens."""

from __future__ import annotations

import re

MASK = "***"
_QUERY = (
    "sig|signature|token|access_token|refresh_token|id_token|code|key|api[-_]?key|subscription-key|password|passwd|pwd|secret"
)
_FIELDS = "password|passwd|pwd|secret|client_secret|token|access_token|refresh_token|api_?key|account_?key|sas"
_PARTS = (
    "AccountKey|SharedAccessKey|SharedAccessSignature|EndpointKey|Password|Pwd|client_secret|access_token|refresh_token"
    "|aws_secret_access_key|private_key"
)
# (what is found, what stays of it)
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]*://)(?:[^/@:\s\"'<>]*:[^\s\"'<>]+|[^/@\s\"'<>]+)@"), rf"\1{MASK}@"),
    (re.compile(rf"([?&;](?:{_QUERY}|x-amz-signature)=)[^&\s\"'<>#;]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"((?:\b|%3F|%26)sig(?:nature)?(?:=|%3D))[^&\s\"'<>#;]{16,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"([\"'](?:{_FIELDS})[\"']\s*:\s*[\"'])[^\"']+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\b(?:x-|ocp-apim-subscription-)?(?:api-)?key\s*:\s*)[A-Za-z0-9._~+/=-]{16,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(--(?:password|token|secret|api-key|client-secret)[ =])[^\s]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\bpassword\s+)[^\s\"']{16,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"(\b(?:{_PARTS})\s*=\s*)[^;\s\"'&]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/-]{16,}=*", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), MASK),
    (re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END|\Z)", re.DOTALL), rf"\1{MASK}\2"),
    (re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"), MASK),
    (re.compile(r"\b(?:hf_|sk-|pypi-|glpat-|dapi)[A-Za-z0-9_-]{20,}"), MASK),
    (re.compile(r"https://hooks\.slack\.com/\S+"), MASK),
    (re.compile(r"\b(?:AKIA[A-Z0-9]{16}|xox[a-z]-[A-Za-z0-9-]{10,})"), MASK),
)


def redacted(text: str) -> str:
    """The text without what looks like a secret."""
    for shape, kept in _SHAPES:
        text = shape.sub(kept, text)
    return text


def looks_secret(text: str) -> bool:
    return redacted(text) != text
