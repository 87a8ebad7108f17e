"""Rollouts in Postgres."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from provisioner.clock import Clock
from provisioner.errors import Moved
from provisioner.images import ROLLOUT_STEPS, Rollout, RolloutEvent, RolloutState, RolloutStore, Tally
from provisioner.instance import Instance
from provisioner.ports import Lease
from provisioner.store.changes import Announcements
from provisioner.store.database import Tables, queries
from provisioner.store.instances import instance_of

_queries: Final = queries("rollouts")


class RolloutTable(Tables):
    """`provisioner.images.RolloutStore`, whose docstrings hold here."""

    def __init__(self, pool: Any, clock: Clock, *, announced: Announcements) -> None:
        super().__init__(pool, clock)
        self._announced = announced

    async def newest_rollout(self) -> Rollout | None:
        row = await _queries.newest_rollout(self._pool)
        return None if row is None else _rollout(row)

    async def start_rollout(self, rollout: Rollout) -> bool:
        row = await _queries.start_rollout(
            self._pool,
            id=rollout.id,
            image=rollout.image,
            golden_image=rollout.golden_image,
            base_image=rollout.base_image,
            steps=list(rollout.steps),
            tolerance=rollout.tolerance,
            proof=rollout.proof,
            soak_s=rollout.soak.total_seconds(),
            hurry=rollout.hurry,
            actor=rollout.actor,
            now=self._clock.now(),
        )
        return row is not None

    async def move_rollout(self, rollout: Rollout, event: RolloutEvent, *, actor: str, why: str = "") -> bool:
        moved = await _queries.move_rollout(
            self._pool,
            id=rollout.id,
            from_state=rollout.state,
            to_state=ROLLOUT_STEPS[rollout.state, event],
            from_step=rollout.step,
            to_step=rollout.step + (event is RolloutEvent.ADVANCE),
            action=event,
            actor=actor,
            why=why,
            now=self._clock.now(),
        )
        return bool(moved)

    async def record_image(self, lease: Lease, image: str, *, rollout_id: UUID | None, actor: str) -> Instance:
        row = await _queries.record_image(
            self._pool,
            user_id=lease.user_id,
            owner=lease.owner,
            fence=lease.fence,
            image=image,
            rollout_id=rollout_id,
            actor=actor,
            now=self._clock.now(),
        )
        if row is None:
            raise Moved(f"Instance of {lease.user_id}: the lease was lost")
        return instance_of(row)

    async def rollout_outcome(self, rollout: Rollout, instance: Instance, *, error: str | None) -> None:
        await _queries.rollout_outcome(
            self._pool,
            rollout_id=rollout.id,
            user_id=instance.user_id,
            from_image=instance.former_image or rollout.base_image,
            outcome="ready" if error is None else "failed",
            error=error,
            now=self._clock.now(),
        )

    async def rollout_tally(self, rollout: Rollout) -> Tally:
        row = await _queries.rollout_tally(
            self._pool,
            id=rollout.id,
            image=rollout.image,
            cut=_cut(rollout),
            returning=rollout.state is RolloutState.RETURNING,
        )
        return Tally(
            ready=row["ready"], failed=row["failed"], moved=row["moved"], cohort=row["cohort"], left=row["left_over"]
        )

    async def rollout_idle(self, rollout: Rollout, *, limit: int) -> Sequence[Instance]:
        rows = _queries.rollout_idle(
            self._pool,
            id=rollout.id,
            image=rollout.image,
            cut=_cut(rollout),
            returning=rollout.state is RolloutState.RETURNING,
            hurry=rollout.hurry,
            most=limit,
        )
        return [instance_of(row) async for row in rows]

    async def rollout_unproven(self, rollout: Rollout, *, limit: int) -> Sequence[Instance]:
        return [instance_of(row) async for row in _queries.rollout_unproven(self._pool, id=rollout.id, most=limit)]

    async def rollout_changes(self) -> AsyncGenerator[None, None]:
        async with aclosing(self._announced.hear("rollout_changed")) as words:
            async for _ in words:
                yield


def _cut(rollout: Rollout) -> int:
    return (100 if rollout.state is RolloutState.DONE else rollout.percent) * 100


def _rollout(row: Any) -> Rollout:
    return Rollout(
        id=row["id"],
        state=RolloutState(row["state"]),
        image=row["image"],
        golden_image=row["golden_image"],
        base_image=row["base_image"],
        steps=tuple(row["steps"]),
        step=row["step"],
        tolerance=row["tolerance"],
        proof=row["proof"],
        soak=timedelta(seconds=row["soak_s"]),
        hurry=row["hurry"],
        actor=row["actor"],
        why=row["why"],
        created_at=row["created_at"],
        state_since=row["state_since"],
        step_since=row["step_since"],
        failed=frozenset(row["failed"]),
    )


if TYPE_CHECKING:

    def _are_rollouts(table: RolloutTable) -> RolloutStore:
        return table
