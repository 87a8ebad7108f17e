"""Spare Machines in Postgres."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from provisioner.errors import Moved
from provisioner.instance import Guest, Instance, Isolation, MachineId, UserId
from provisioner.ports import Lease
from provisioner.spares import SPARE_STEPS, Model, Spare, SpareEvent, Spares, SpareState
from provisioner.store.database import Tables, queries
from provisioner.store.instances import instance_of

_queries: Final = queries("spares")


class SpareTable(Tables):
    """`provisioner.spares.Spares`, whose docstrings hold here."""

    async def add_spare(self, spare_id: UUID, model: Model, *, app_name: str, machine_name: str) -> Spare:
        row = await _queries.add_spare(
            self._pool,
            id=spare_id,
            isolation=model.isolation,
            app_name=app_name,
            machine_name=machine_name,
            region=model.region,
            image=model.image,
            guest=str(model.guest),
            volume_gb=model.volume_gb,
            now=self._clock.now(),
        )
        return _spare(row)

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
        row = await _queries.record_spare(
            self._pool,
            id=spare_id,
            app_id=app_id,
            flycast_ip=flycast_ip,
            volume_id=volume_id,
            machine_id=machine_id,
            private_ip=private_ip,
            region=region,
        )
        if row is None:
            raise Moved(f"spare {spare_id} is gone")
        return _spare(row)

    async def move_spare(self, spare_id: UUID, state: SpareState, event: SpareEvent, *, why: str = "") -> bool:
        moved = await _queries.move_spare(
            self._pool,
            id=spare_id,
            from_state=state,
            to_state=SPARE_STEPS[state, event],
            action=event,
            why=why,
            now=self._clock.now(),
        )
        return bool(moved)

    async def remove_spare(self, spare_id: UUID) -> None:
        await _queries.remove_spare(self._pool, id=spare_id, now=self._clock.now())

    async def all_spares(self) -> Sequence[Spare]:
        return [_spare(row) async for row in _queries.all_spares(self._pool)]

    async def arrivals(self, *, minutes: int) -> Sequence[int]:
        now, visits = self._clock.now(), [0] * minutes
        async for row in _queries.arrivals(self._pool, since=now - timedelta(minutes=minutes), now=now):
            if row["minutes_ago"] < minutes:
                visits[row["minutes_ago"]] = row["visits"]
        return visits

    async def claim_spare(
        self, user_id: UserId, *, email: str, guest: Guest, leave: int, actor: str, model: Model
    ) -> Instance | None:
        row = await _queries.claim_spare(
            self._pool,
            user_id=user_id,
            email=email,
            isolation=model.isolation,
            region=model.region,
            image=model.image,
            guest=str(guest),
            leave=leave,
            actor=actor,
            now=self._clock.now(),
        )
        return None if row is None else instance_of(row)

    async def swap_spare(
        self, lease: Lease, *, why: str, fresh: Mapping[str, str], actor: str, model: Model
    ) -> Instance:
        row = await _queries.swap_spare(
            self._pool,
            user_id=lease.user_id,
            owner=lease.owner,
            fence=lease.fence,
            fresh_id=UUID(fresh["id"]),
            fresh_app_name=fresh["app_name"],
            fresh_machine_name=fresh["machine_name"],
            isolation=model.isolation,
            region=model.region,
            image=model.image,
            guest=str(model.guest),
            why=why,
            actor=actor,
            now=self._clock.now(),
        )
        if row is None:
            raise Moved(f"Instance of {lease.user_id}: it is not new any more, or the lease was lost")
        return instance_of(row)


def _spare(row: Any) -> Spare:
    return Spare(
        id=row["id"],
        state=SpareState(row["state"]),
        isolation=Isolation(row["isolation"]),
        app_name=row["app_name"],
        machine_name=row["machine_name"],
        region=row["region"],
        app_id=row["app_id"],
        flycast_ip=row["flycast_ip"],
        volume_id=row["volume_id"],
        machine_id=row["machine_id"],
        private_ip=row["private_ip"],
        image=row["image"],
        guest=Guest.parse(row["guest"]),
        volume_gb=row["volume_gb"],
        user_id=row["user_id"],
        created_at=row["created_at"],
        state_since=row["state_since"],
    )


if TYPE_CHECKING:

    def _are_spares(table: SpareTable) -> Spares:
        return table
