"""Azure's built-in roles, as far as they matter to a machine-learning workspace: what each may do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

_ML = "Microsoft.MachineLearningServices/workspaces"


@dataclass(frozen=True, slots=True)
class Role:
    """`id` is Azure's own GUID. An action is allowed when one of `actions` fits it and none of `denied` does; `*` stands for
    any text."""

    id: str
    name: str
    description: str
    actions: tuple[str, ...]
    denied: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        return _fits(action, self.actions) and not _fits(action, self.denied)


ROLES: tuple[Role, ...] = (
    Role(
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "Owner",
        "Full access to all resources, including the assignment of roles.",
        ("*",),
    ),
    Role(
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Contributor",
        "Full access to all resources, without the assignment of roles.",
        ("*",),
        ("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write", "Microsoft.Authorization/elevateAccess/Action"),
    ),
    Role("acdd72a7-3385-48ef-bd42-f606fba81ae7", "Reader", "View all resources, without changes.", ("*/read",)),
    Role(
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        "User Access Administrator",
        "Assignment of roles.",
        ("*/read", "Microsoft.Authorization/*"),
    ),
    Role(
        "f6c7c914-8db3-469d-8ca1-694a8f32e121",
        "AzureML Data Scientist",
        "All actions in a workspace, except on computes and on the workspace itself.",
        (
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            f"{_ML}/read",
            f"{_ML}/*/read",
            f"{_ML}/*/action",
            f"{_ML}/*/delete",
            f"{_ML}/*/write",
        ),
        (
            f"{_ML}/delete",
            f"{_ML}/write",
            f"{_ML}/computes/write",
            f"{_ML}/computes/delete",
            f"{_ML}/computes/listKeys/action",
            f"{_ML}/listKeys/action",
        ),
    ),
    Role(
        "e503ece1-11d0-4e8e-8e2c-7a6c3bf38815",
        "AzureML Compute Operator",
        "Access to computes.",
        (f"{_ML}/computes/*", f"{_ML}/read", f"{_ML}/notebooks/*"),
    ),
    Role(
        "635dd51f-9968-44d3-b7fb-6d9a6bd613ae",
        "AzureML Metrics Writer (preview)",
        "Writing metrics of jobs.",
        (f"{_ML}/metrics/*/write",),
    ),
)


def allowed(roles: Iterable[str], action: str) -> bool:
    """Whether one of the roles, by name, may do `action` (`Microsoft.MachineLearningServices/workspaces/jobs/write`)."""
    held = {name.casefold() for name in roles}
    return any(role.allows(action) for role in ROLES if role.name.casefold() in held)


def find(wanted: str) -> Role | None:
    """A role by its id or name, in any case."""
    key = wanted.casefold()
    return next((role for role in ROLES if key in (role.id, role.name.casefold())), None)


def _fits(action: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(action.casefold(), pattern.casefold()) for pattern in patterns)
