"""Plans: what a user may have. Which ones there are says `offer`; who has which is known in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from provisioner.instance import UserId
from provisioner.ports import Guest

FREE: Final = "free"
"""The plan of whoever has no subscription in force."""

SUSPENDABLE_MB: Final = 2048
"""Fly suspends no Machine with more memory (facts: suspend page, 2026-08)."""


class NoSuchPlan(ValueError):
    """A name that no plan has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One plan. `plans.toml` explains the fields; the two about requests hold on each replica."""

    name: str
    usd_per_month: int
    guest: Guest
    volume_gb: int
    suspend_after: timedelta
    stop_after: timedelta
    awake_cap: timedelta
    pool_priority: int
    requests_per_s: float
    requests_burst: int

    @property
    def suspends(self) -> bool:
        """Whether Fly can suspend a Machine of this size; else it is stopped at once."""
        return self.guest.memory_mb <= SUSPENDABLE_MB


class Plans:
    """The plan of everybody, from memory: no query, no waiting.

    One writer keeps it true (`provisioner.subscriptions.follow`), any number of readers.
    """

    def __init__(self, plans: Mapping[str, Plan]) -> None:
        """`plans`: those that are offered, by name, FREE among them."""
        self._plans: Mapping[str, Plan] = MappingProxyType(dict(plans))
        self._free = self._plans[FREE]
        self._of: dict[UserId, Plan] = {}

    def of(self, user_id: UserId) -> Plan:
        """This user's plan in force, as last heard; FREE without a subscription."""
        return self._of.get(user_id, self._free)

    def named(self, name: str) -> Plan:
        """Raises NoSuchPlan."""
        try:
            return self._plans[name]
        except KeyError:
            raise NoSuchPlan(f"there is no plan {name!r}, only {', '.join(self._plans)}") from None

    def all(self) -> Sequence[Plan]:
        """Every plan that is offered, in the order of the file."""
        return list(self._plans.values())

    def all_in_force(self, names: Mapping[UserId, str]) -> None:
        """From now on these users have these plans, and everybody else FREE."""
        self._of = {user_id: self.named(name) for user_id, name in names.items() if name != FREE}

    def in_force(self, user_id: UserId, name: str | None) -> None:
        """From now on this user has this plan; None: no subscription of theirs is in force."""
        if name is None or name == FREE:
            self._of.pop(user_id, None)
        else:
            self._of[user_id] = self.named(name)
