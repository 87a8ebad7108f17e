"""What Machines and volumes cost us: arithmetic on Fly's prices, which `plans.toml` holds with date and source.

US dollars. An estimate for people and for decisions; Fly's bill is the truth.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from provisioner.ports import Guest

MONTH: Final = timedelta(days=30)
"""Fly's month (facts: billing page)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedPrice:
    """What one kind of CPU costs while its Machine runs. Memory beyond what comes with the CPUs is paid by the GB."""

    cpu_month: float
    memory_mb_per_cpu: int
    extra_memory_gb_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Fly's prices, as `source` told them on `as_of`. `started` by kind of CPU, `rootfs_gb` of our image."""

    as_of: date
    source: str
    rootfs_gb_month: float
    rootfs_gb: float
    volume_gb_month: float
    started: Mapping[str, StartedPrice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Dollars, by what they go for."""

    awake: float
    asleep: float
    volume: float

    @property
    def total(self) -> float:
        return self.awake + self.asleep + self.volume


def awake(prices: Prices, guest: Guest, time: timedelta) -> float:
    """Dollars for a Machine that runs so long. Raises KeyError for a kind of CPU without a price."""
    started = prices.started[guest.cpu_kind]
    extra_mb = max(0, guest.memory_mb - guest.cpus * started.memory_mb_per_cpu)
    month = guest.cpus * started.cpu_month + extra_mb / 1024 * started.extra_memory_gb_month
    return month * (time / MONTH)


def asleep(prices: Prices, time: timedelta) -> float:
    """Dollars for a Machine that is suspended or stopped so long: Fly asks the same for both, the root file system."""
    return prices.rootfs_gb * prices.rootfs_gb_month * (time / MONTH)


def volume(prices: Prices, size_gb: int, time: timedelta) -> float:
    """Dollars for a volume that exists so long, whatever its Machine does."""
    return size_gb * prices.volume_gb_month * (time / MONTH)


def cost(
    prices: Prices,
    guest: Guest,
    volume_gb: int,
    *,
    awake_for: timedelta,
    suspended_for: timedelta,
    stopped_for: timedelta,
) -> Cost:
    """What one Instance costs over the three times together, in which its volume existed all along."""
    rest = suspended_for + stopped_for
    return Cost(
        awake=awake(prices, guest, awake_for),
        asleep=asleep(prices, rest),
        volume=volume(prices, volume_gb, awake_for + rest),
    )
