"""Azure's sizes of virtual machines for endpoints, and the cores that a subscription has of each family."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from opsml_cli.domain.compute import DEFAULT_SIZE
from opsml_cli.domain.errors import QuotaError, UsageError

CORES_OF_A_FAMILY = 100  # what a common subscription starts with; GPU families start with none


class CoresError(QuotaError):
    """A family's cores do not suffice. `usage`, `limit` and `needed` are cores."""

    def __init__(self, size: str, usage: int, limit: int, needed: int) -> None:
        super().__init__(f"not enough quota for {size}", cause=f"usage/limit: {usage}/{limit} cores, needed: {needed}")
        self.size, self.usage, self.limit, self.needed = size, usage, limit, needed


@dataclass(frozen=True, slots=True)
class VmSize:
    """`memory` in GiB."""

    name: str
    family: str
    cores: int
    memory: float
    gpus: int = 0

    @property
    def limit(self) -> int:
        """The family's cores in this subscription."""
        return 0 if self.gpus else CORES_OF_A_FAMILY

    def cores_for(self, instances: int) -> int:
        """The cores that `instances` take from the quota: a fifth more are kept for upgrades."""
        return -(-instances * 6 // 5) * self.cores


def _family(family: str, pattern: str, cores: Iterable[int], memory_of_core: float, gpus: int = 0) -> Iterable[VmSize]:
    for count in cores:
        yield VmSize(pattern.format(count), family, count, count * memory_of_core, gpus)


_SIZES: tuple[VmSize, ...] = (
    *(
        VmSize(f"Standard_DS{number}_v2", "standardDSv2Family", cores, cores * 3.5)
        for number, cores in enumerate((1, 2, 4, 8, 16), start=1)
    ),
    *_family("standardDASv4Family", "Standard_D{}as_v4", (2, 4, 8, 16, 32, 48, 64, 96), 4),
    *_family("standardDAv4Family", "Standard_D{}a_v4", (2, 4, 8, 16, 32, 48, 64, 96), 4),
    *_family("standardESv3Family", "Standard_E{}s_v3", (2, 4, 8, 16, 32, 48, 64), 8),
    *_family("standardFSv2Family", "Standard_F{}s_v2", (2, 4, 8, 16, 32, 48, 64, 72), 2),
    *_family("standardLSv2Family", "Standard_L{}s_v2", (8, 16, 32, 48, 64, 80), 8),
    *_family("standardNCSv3Family", "Standard_NC{}s_v3", (6, 12, 24), 18.7, gpus=1),
    *_family("Standard NCASv3_T4 Family", "Standard_NC{}as_T4_v3", (4, 8, 16, 64), 7, gpus=1),
    *_family("StandardNCADSA100v4Family", "Standard_NC{}ads_A100_v4", (24, 48, 96), 9, gpus=1),
)
SIZES: Mapping[str, VmSize] = {size.name.casefold(): size for size in _SIZES}


def find(name: str) -> VmSize:
    """The size of that name, in any case. UsageError for an unknown one."""
    found = SIZES.get(name.casefold())
    if found is None:
        raise UsageError(
            f"the VM size {name} is not supported", cause=f"such as {DEFAULT_SIZE}, Standard_F4s_v2, Standard_E4s_v3"
        )
    return found


def cores_in_use(used: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Cores by family that instances (size, how many) take from the quota."""
    cores: dict[str, int] = {}
    for name, count in used:
        size = SIZES.get(name.casefold())
        if size is not None:
            cores[size.family] = cores.get(size.family, 0) + size.cores_for(count)
    return cores


def check_quota(size: VmSize, instances: int, used: Iterable[tuple[str, int]]) -> None:
    """CoresError when `instances` of `size` do not fit beside those in use (size, instances)."""
    usage = cores_in_use(used).get(size.family, 0)
    needed = size.cores_for(instances)
    if usage + needed > size.limit:
        raise CoresError(size.name, usage, size.limit, needed)
