"""Which golden image an Instance should run: a pure rule over the newest rollout, kept in every replica's memory."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final, Protocol
from uuid import UUID

from provisioner.instance import Instance, UserId
from provisioner.ports import Lease


class RolloutState(StrEnum):
    """Where a rollout is. The value is what Postgres stores."""

    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"
    DONE = "done"
    RETURNING = "returning"
    RETURNED = "returned"


class RolloutEvent(StrEnum):
    """What may happen to a rollout."""

    ADVANCE = "advance"
    PAUSE = "pause"
    RESUME = "resume"
    HALT = "halt"
    FINISH = "finish"
    BACK = "back"


_S, _E = RolloutState, RolloutEvent
ROLLOUT_STEPS: Final[dict[tuple[RolloutState, RolloutEvent], RolloutState]] = {
    (_S.RUNNING, _E.ADVANCE): _S.RUNNING,  # the next cohort
    (_S.RUNNING, _E.PAUSE): _S.PAUSED,  # nobody is moved any more, who was moved stays
    (_S.RUNNING, _E.HALT): _S.HALTED,  # too many did not come up on the new image
    (_S.RUNNING, _E.FINISH): _S.DONE,  # all may move, and new Machines are of the new image
    (_S.PAUSED, _E.RESUME): _S.RUNNING,
    (_S.HALTED, _E.RESUME): _S.RUNNING,  # by an operator who knows why
    **{(state, _E.BACK): _S.RETURNING for state in (_S.RUNNING, _S.PAUSED, _S.HALTED, _S.DONE)},
    (_S.RETURNING, _E.FINISH): _S.RETURNED,  # nobody runs the new image any more
}
"""Every legal step."""

OPEN: Final = frozenset({_S.RUNNING, _S.PAUSED, _S.HALTED})
"""Of these there is one at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One row of `gateway.rollouts`. `steps` are percents of all users; `step` is the index of the current one."""

    id: UUID
    state: RolloutState
    image: str
    golden_image: str
    """GOLDEN_IMAGE when it began."""
    base_image: str
    """What new Machines were of when it began."""
    steps: tuple[int, ...]
    step: int
    tolerance: float
    """The share of failed moves beyond which it halts."""
    proof: int
    """So many moved Instances must have come up before the next step."""
    soak: timedelta
    """And so much time must have passed."""
    hurry: bool
    """Suspended Machines are moved too, and lose their snapshots; else they move when they have lost them anyway."""
    actor: str
    why: str
    created_at: datetime
    state_since: datetime
    step_since: datetime
    failed: frozenset[UserId] = field(default=frozenset())
    """Who did not come up on the new image, and goes back to the former one."""

    @property
    def percent(self) -> int:
        """How many of a hundred users may be moved now."""
        return self.steps[self.step]


def bucket(rollout_id: UUID, user_id: UserId) -> int:
    """0 to 9999, even over all users, another in every rollout. As gateway.rollout_bucket in sql/ says."""
    return int(sha256(f"{rollout_id}:{user_id}".encode()).hexdigest()[:8], 16) % 10_000


class Images:
    """The image of everybody, from memory. One writer keeps it true, any number of readers."""

    def __init__(self, golden_image: str) -> None:
        """`golden_image`: the one that the settings name."""
        self._golden = golden_image
        self.newest: Rollout | None = None

    @property
    def golden_image(self) -> str:
        """What the settings say."""
        return self._golden

    @property
    def base(self) -> str:
        """What new Machines are made of: the image of a rollout that is done, unless GOLDEN_IMAGE changed since."""
        rollout = self.newest
        if rollout is None or rollout.golden_image != self._golden:
            return self._golden
        return rollout.image if rollout.state is RolloutState.DONE else rollout.base_image

    def wanted(self, instance: Instance) -> str:
        """What this Instance should run; its present image if nothing says otherwise."""
        rollout = self.newest
        if rollout is None:
            return instance.image
        moved = instance.image == rollout.image
        former = instance.former_image or rollout.base_image
        if moved and (rollout.state in (_S.RETURNING, _S.RETURNED) or instance.user_id in rollout.failed):
            return former
        if moved or instance.user_id in rollout.failed:
            return instance.image
        if rollout.state is RolloutState.DONE:
            return rollout.image
        if rollout.state is RolloutState.RUNNING and bucket(rollout.id, instance.user_id) < rollout.percent * 100:
            return rollout.image
        return instance.image

    def watches(self, instance: Instance) -> Rollout | None:
        """The rollout that wants to hear how this Instance came up: it runs the image that is being rolled out."""
        rollout = self.newest
        if rollout is None or rollout.state not in (_S.RUNNING, _S.PAUSED, _S.HALTED):
            return None
        return rollout if instance.image == rollout.image and instance.former_image is not None else None

    def failed(self, user_id: UserId) -> None:
        """This user did not come up on the new image, as this replica has seen: known here before it is called out."""
        if self.newest is not None:
            self.newest = replace(self.newest, failed=self.newest.failed | {user_id})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How a rollout goes: its Instances by what became of them. `cohort`: those that may be moved now, moved or not."""

    ready: int
    failed: int
    moved: int
    """Moved, and not started since."""
    cohort: int
    left: int
    """Of the cohort, not moved yet; of one that returns, still on the new image."""


def judge(rollout: Rollout, tally: Tally, now: datetime) -> tuple[RolloutEvent, str] | None:
    """What should become of the rollout, and why; None: nothing yet."""
    if rollout.state is RolloutState.RETURNING:
        return (RolloutEvent.FINISH, "nobody runs it any more") if tally.left == 0 else None
    if rollout.state is not RolloutState.RUNNING:
        return None
    outcomes = tally.ready + tally.failed
    if tally.failed > rollout.tolerance * max(outcomes, rollout.proof):
        return RolloutEvent.HALT, f"{tally.failed} of {outcomes} did not come up"
    if now - rollout.step_since < rollout.soak or tally.ready < min(rollout.proof, tally.cohort):
        return None
    if rollout.step + 1 < len(rollout.steps):
        return RolloutEvent.ADVANCE, f"{tally.ready} came up, {tally.failed} did not"
    return RolloutEvent.FINISH, f"{tally.ready} came up, {tally.failed} did not"


class RolloutStore(Protocol):
    """The tables of rollouts. Every call is one transaction; what changes something has its audit row in it."""

    async def newest_rollout(self) -> Rollout | None:
        """The one that counts."""

    async def start_rollout(self, rollout: Rollout) -> bool:
        """False: another one is open."""

    async def move_rollout(self, rollout: Rollout, event: RolloutEvent, *, actor: str, why: str = "") -> bool:
        """One step of ROLLOUT_STEPS as a compare-and-set on state and step. False: somebody else moved it first."""

    async def record_image(self, lease: Lease, image: str, *, rollout_id: UUID | None, actor: str) -> Instance:
        """The Machine is of `image` now; the one before becomes `former_image`. Raises Moved."""

    async def rollout_outcome(self, rollout: Rollout, instance: Instance, *, error: str | None) -> None:
        """How the first bring-up on the new image went; of later ones nothing is noted."""

    async def rollout_tally(self, rollout: Rollout) -> Tally: ...

    async def rollout_idle(self, rollout: Rollout, *, limit: int) -> Sequence[Instance]:
        """Who sleeps and could be moved now: on, or back if it returns."""

    async def rollout_unproven(self, rollout: Rollout, *, limit: int) -> Sequence[Instance]:
        """STOPPED ones that were moved and not started since."""

    def rollout_changes(self) -> AsyncGenerator[None, None]:
        """An item at first, and whenever the newest rollout has to be read anew."""
