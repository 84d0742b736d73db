"""What stands between a request and its success: a missing role, or a quota. Told with the numbers that Azure gives."""

from __future__ import annotations

import re

from opsml_cli.azureml.refusals import Refusal
from opsml_cli.domain.errors import NotAllowedError, QuotaError

# --- rights

_ACTION = re.compile(r"perform action '([^']+)'")
_ROLES = (
    ("microsoft.authorization/", "Role Based Access Control Administrator (or Owner)"),
    ("/workspaces/computes/", "AzureML Compute Operator"),
    ("/workspaces/", "AzureML Data Scientist"),
    ("microsoft.insights/", "Monitoring Contributor"),
    ("/workspaces", "Contributor"),
)


def role_for(action: str) -> str:
    """The least of Azure's built-in roles that allows `action`."""
    lower = action.casefold()
    if lower.endswith("/read"):
        return "Reader"
    if lower.endswith(("/workspaces/write", "/workspaces/delete")):
        return "Contributor"
    return next((role for part, role in _ROLES if part in lower), "Contributor")


def not_allowed(refusal: Refusal, what: str) -> NotAllowedError:
    """403, with the role that is missing."""
    action = _ACTION.search(refusal.message)
    if action is not None:
        role = role_for(action.group(1))
        need = f"needs the role {role} on the workspace ({action.group(1)})"
        fix = f'ask its owner: opsml -w azure workspace share PRINCIPAL --role "{role}"'
    elif refusal.has("AuthorizationPermissionMismatch"):
        need, fix = (
            "needs the role Storage Blob Data Contributor on the storage account",
            "ask the workspace's owner for that role",
        )
    elif refusal.has("AuthenticationFailed"):
        need, fix = "the storage refused the signed URL", "check this machine's clock, then run the same command again"
    else:
        need = "the identity lacks a role, or a network rule keeps this machine out"
        fix = "opsml -w azure doctor shows identity and roles"
    return NotAllowedError(f"{what}: {need}", cause=refusal.told(), fix=fix)


# --- quota

QUOTA_CODES = (
    "QuotaExceeded", "OutOfQuota", "InsufficientQuota", "OutOfCapacity", "SkuNotAvailable", "NotEnoughQuota",
    "VMSizeQuotaExceeded", "MaxNodesExceeded",
)  # fmt: skip
QUOTA_TEXT = re.compile(
    r"not enough (?:quota|capacity)|exceed\w* (?:approved|the|quota) [\w ]*(?:quota|limits)|insufficient (?:quota|capacity)",
    re.I,
)
_NEEDED = re.compile(r"additional (?:required|needed)\D{0,12}(\d+)|(?:requires|requested)\D{0,12}(\d+)", re.I)
_USAGE = re.compile(r"current usage/limit:?\s*(\d+)\s*/\s*(\d+)", re.I)
_LIMIT, _USED = (
    re.compile(r"(?:current limit|limit|maximum allowed):?\s*(\d+)", re.I),
    re.compile(r"current usage:?\s*(\d+)", re.I),
)
# Sizes that a model of a table is served by, and their cores.
_SIZES = {"Standard_DS1_v2": 1, "Standard_DS2_v2": 2, "Standard_F2s_v2": 2, "Standard_DS3_v2": 4, "Standard_F4s_v2": 4}


def quota(refusal: Refusal, what: str) -> QuotaError:
    """Not enough cores: what is needed, what there is, and a size that fits."""
    text = refusal.everything
    needed = next((int(group) for found in [_NEEDED.search(text)] if found for group in found.groups() if group), None)
    used, limit = _usage(text)
    parts = []
    if needed is not None:
        parts.append(f"{needed} cores are needed")
    free = None
    if used is not None and limit is not None:
        free = max(limit - used, 0)
        parts.append(f"{free} of {limit} are free")
    elif limit is not None:
        free = limit  # how many of them are in use is not told
        parts.append(f"{limit} there may be")
    told = f": {', '.join(parts)}" if parts else ""
    return QuotaError(
        f"{what}: not enough quota or capacity{told}",
        cause=refusal.told(),
        fix=_quota_fix(free, cluster="computes/" in what),
    )


def _usage(text: str) -> tuple[int | None, int | None]:
    """Cores in use, and the most that there may be."""
    both = _USAGE.search(text)
    if both is not None:
        return int(both.group(1)), int(both.group(2))
    used, limit = _USED.search(text), _LIMIT.search(text)
    return int(used.group(1)) if used else None, int(limit.group(1)) if limit else None


def _quota_fix(free: int | None, *, cluster: bool) -> str:
    ask = "ask for more at https://portal.azure.com (Quotas)"
    if free is None:
        return f"choose a smaller size or another region, or {ask}"
    # A deployment reserves a fifth more, for upgrades.
    fits = [size for size, cores in _SIZES.items() if cores * (1.0 if cluster else 1.2) <= free]
    if not fits:
        return f"free some cores (delete a deployment or compute), or {ask}"
    options = f"one node of the size {fits[-1]}" if cluster else f"--instance-type {fits[-1]} --instance-count 1"
    return f"{options} fits; or {ask}"
