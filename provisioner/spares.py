"""Spare Machines: their life as a table, and how many there should be, as pure decisions.

A spare is made, probed and suspended before anybody needs it. Its id becomes the id of the Instance that claims it, so
that nothing has to be told to Fly anew. A claimed entry never returns: what was somebody's is nobody else's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil, sqrt
from typing import Final, Protocol
from uuid import UUID

from provisioner.instance import Guest, Instance, Isolation, MachineId, UserId
from provisioner.ports import Lease


class SpareState(StrEnum):
    """Where a spare is in its life. The value is what Postgres stores."""

    MAKING = "making"
    READY = "ready"
    CLAIMED = "claimed"
    DOOMED = "doomed"


class SpareEvent(StrEnum):
    """What may happen to a spare."""

    PROBED = "probed"
    CLAIM = "claim"
    DISCARD = "discard"


_S, _E = SpareState, SpareEvent
SPARE_STEPS: Final[dict[tuple[SpareState, SpareEvent], SpareState]] = {
    (_S.MAKING, _E.PROBED): _S.READY,  # its Guard answered and waits for a claim; suspended since
    (_S.MAKING, _E.DISCARD): _S.DOOMED,  # it did not come up, or its maker died
    (_S.READY, _E.CLAIM): _S.CLAIMED,  # with the Instance's row, in one transaction
    (_S.READY, _E.DISCARD): _S.DOOMED,  # dead, too old, too many, or of another image
    (_S.CLAIMED, _E.DISCARD): _S.DOOMED,  # it did not answer its first visitor, who never was let in
}
"""Every legal step. From DOOMED there is none: it is destroyed at Fly, then its row goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare:
    """One row of `gateway.spares`."""

    id: UUID
    state: SpareState
    isolation: Isolation
    app_name: str
    machine_name: str
    region: str
    app_id: str | None
    flycast_ip: str | None
    volume_id: str | None
    machine_id: MachineId | None
    private_ip: str | None
    image: str
    guest: Guest
    volume_gb: int
    user_id: UserId | None
    created_at: datetime
    state_since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a spare must be for somebody to want it now."""

    isolation: Isolation
    region: str
    image: str
    guest: Guest
    volume_gb: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings:
    """How many spares there should be."""

    least: int = 0
    most: int = 0
    """0: no pool, every first visit makes a Machine."""
    reserved: int = 0
    """The last so many are kept for plans with more than the least `pool_priority`."""
    lead: timedelta = timedelta(minutes=5)
    """The arrivals of so long have to be met by what is there: making spares takes about as long."""
    oldest: timedelta = timedelta(days=7)
    """A spare is replaced after so long: snapshots do not keep for ever."""
    every: timedelta = timedelta(seconds=5)
    check_every: timedelta = timedelta(minutes=5)
    """How often the Machine of a spare that waits is looked at."""
    at_once: int = 3
    """Spares made side by side: Fly's limits for creating in one app."""
    make_within: timedelta = timedelta(minutes=3)
    claim_within: timedelta = timedelta(seconds=3)
    """From a claim's start to the Guard's answer; then the next spare is tried."""


def pool_size(arrivals: Sequence[int], current: int, settings: PoolSettings) -> int:
    """How many spares there should be.

    `arrivals`: first visits of each past minute, the latest first, an hour of them. `current`: the answer of last time.
    The need is what arrives within `lead`, at the pace of its busiest such stretch, and twice its usual scatter
    (of a Poisson process). It grows at once, and shrinks only when the busiest stretch of the whole hour would be
    met by three quarters of what there is: so a wave that ebbs for a moment finds it still there.
    """
    if settings.most <= 0:
        return 0
    minutes = max(1, ceil(settings.lead / timedelta(minutes=1)))

    def need(past: Sequence[int]) -> int:
        windows = [sum(past[i : i + minutes]) for i in range(max(1, len(past) - minutes + 1))]
        busiest = max(windows, default=0)
        return min(settings.most, max(settings.least, ceil(busiest + 2 * sqrt(busiest))))

    now, lately = need(arrivals[: 2 * minutes]), need(arrivals)
    if now >= current:
        return now
    return lately if lately <= current * 0.75 or current > settings.most else current


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about the pool: so many to make, and these to give up, each with the reason."""

    make: int
    discard: Sequence[tuple[Spare, str]]


def decide(spares: Sequence[Spare], *, target: int, model: Model, now: datetime, settings: PoolSettings) -> Decision:
    """Bring the pool to `target` spares of `model`.

    One of another image, or too old, is given up when its successor is ready: till then it serves. So is what is too
    much, the oldest first. Claimed and doomed ones are not counted.
    """
    ready = sorted((s for s in spares if s.state is SpareState.READY), key=lambda spare: spare.state_since)
    wanted = [s for s in ready if is_like(s, model) and now - s.state_since < settings.oldest]
    passing = [s for s in ready if s not in wanted]
    making = sum(s.state is SpareState.MAKING and is_like(s, model) for s in spares)
    surplus = wanted[: max(0, len(wanted) - target)]
    over = max(0, len(passing) + len(wanted) - max(target, len(surplus)))
    return Decision(
        make=max(0, target - len(wanted) - making),
        discard=[
            *((spare, "too many") for spare in surplus),
            *((spare, "of another image or size, or too old") for spare in passing[: max(0, over)]),
        ],
    )


def is_like(spare: Spare, model: Model) -> bool:
    """Whether `spare` is what is wanted now."""
    return (spare.isolation, spare.region, spare.image, spare.guest, spare.volume_gb) == (
        model.isolation,
        model.region,
        model.image,
        model.guest,
        model.volume_gb,
    )


class Spares(Protocol):
    """The table `gateway.spares`. Every call is one transaction; every step has its audit row in it."""

    async def add_spare(self, spare_id: UUID, model: Model, *, app_name: str, machine_name: str) -> Spare:
        """A new row in MAKING, before anything is asked of Fly."""

    async def record_spare(
        self,
        spare_id: UUID,
        *,
        app_id: str | None = None,
        flycast_ip: str | None = None,
        volume_id: str | None = None,
        machine_id: MachineId | None = None,
        private_ip: str | None = None,
        region: str | None = None,
    ) -> Spare:
        """Write back ids as soon as they are known; None leaves one as it is. Raises Moved if the row is gone."""

    async def move_spare(self, spare_id: UUID, state: SpareState, event: SpareEvent, *, why: str = "") -> bool:
        """One step of SPARE_STEPS as a compare-and-set. False: it was not in `state` any more."""

    async def remove_spare(self, spare_id: UUID) -> None:
        """Delete a DOOMED row: nothing of it is left at Fly."""

    async def all_spares(self) -> Sequence[Spare]:
        """All that nobody lives in: MAKING, READY, DOOMED, and CLAIMED ones without an Instance. The oldest first."""

    async def arrivals(self, *, minutes: int) -> Sequence[int]:
        """First visits of each past minute, the latest first."""

    async def claim_spare(
        self, user_id: UserId, *, email: str, guest: Guest, leave: int, actor: str, model: Model
    ) -> Instance | None:
        """The user's new Instance, PROVISIONING, on a READY spare that is CLAIMED with it; None: there is none to have.

        As many as `leave` stay for others. One of `model`'s image is preferred. Also None if the user has an Instance.
        """

    async def swap_spare(
        self, lease: Lease, *, why: str, fresh: Mapping[str, str], actor: str, model: Model
    ) -> Instance:
        """The spare of this PROVISIONING Instance is dead: DOOM it and take the next.

        Without a next one the Instance gets the names `fresh` (id, app_name, machine_name) and nothing else, to be made
        from nothing. Raises Moved.
        """
