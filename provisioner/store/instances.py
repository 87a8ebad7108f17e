"""Instances in Postgres: their rows, and their steps as compare-and-set."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from provisioner.errors import Moved, NameTaken
from provisioner.idle import Candidate
from provisioner.instance import Event, Guest, Instance, Isolation, MachineId, State, UserId, step
from provisioner.ports import KeptVolume, Lease, Touch
from provisioner.store.database import Tables, queries

_queries: Final = queries("instances")


class Instances(Tables):
    """The part of `ports.Store` about `user_instances`; its docstrings hold here."""

    async def create(
        self,
        user_id: UserId,
        *,
        email: str,
        app_name: str,
        machine_name: str,
        region: str,
        image: str,
        actor: str,
        isolation: Isolation = Isolation.MACHINE,
        id: UUID | None = None,
    ) -> Instance:
        while True:
            made = await _queries.create_instance(
                self._pool,
                user_id=user_id,
                id=id,
                email=email,
                isolation=isolation,
                app_name=app_name,
                machine_name=machine_name,
                region=region,
                image=image,
                actor=actor,
                now=self._clock.now(),
            )
            # The row that was in the way may be younger than that statement's snapshot, so it is read by a second
            # one; and it may be removed between the two: then it is our turn after all.
            found = instance_of(made) if made else await self.find(user_id)
            if found is not None:
                return found
            holder = await _queries.holder_of_name(self._pool, app_name=app_name, machine_name=machine_name)
            if holder is not None and holder != user_id:
                raise NameTaken(f"{machine_name} in {app_name} belongs to the Instance of {holder}")

    async def find(self, user_id: UserId) -> Instance | None:
        row = await _queries.find_instance(self._pool, user_id=user_id)
        return instance_of(row) if row else None

    async def page(
        self, *, state: State | None = None, after: UserId | None = None, limit: int = 100
    ) -> Sequence[Instance]:
        rows = _queries.page_of_instances(self._pool, state=state, after=after, most=limit)
        return [instance_of(row) async for row in rows]

    async def move(
        self,
        user_id: UserId,
        state: State,
        event: Event,
        *,
        actor: str,
        lease: Lease | None = None,
        detail: Mapping[str, object] | None = None,
        error: str | None = None,
    ) -> Instance:
        row = await _queries.move_instance(
            self._pool,
            user_id=user_id,
            from_state=state,
            to_state=step(state, event),
            action=event,
            actor=actor,
            error=error,
            detail=json.dumps(dict(detail or {})),
            owner=lease.owner if lease else None,
            fence=lease.fence if lease else None,
            now=self._clock.now(),
        )
        return _moved(row, user_id, f"it is not {state} any more, or the lease was lost")

    async def record(
        self,
        lease: Lease,
        *,
        app_id: str | None = None,
        flycast_ip: str | None = None,
        volume_id: str | None = None,
        machine_id: MachineId | None = None,
        private_ip: str | None = None,
        region: str | None = None,
        guest: Guest | None = None,
        volume_gb: int | None = None,
    ) -> Instance:
        row = await _queries.record_ids(
            self._pool,
            user_id=lease.user_id,
            owner=lease.owner,
            fence=lease.fence,
            app_id=app_id,
            flycast_ip=flycast_ip,
            volume_id=volume_id,
            machine_id=machine_id,
            private_ip=private_ip,
            region=region,
            guest=None if guest is None else str(guest),
            volume_gb=volume_gb,
            now=self._clock.now(),
        )
        return _moved(row, lease.user_id, "the lease was lost")

    async def forget_machine(self, lease: Lease) -> Instance:
        """See `ports.Store`. Moved also while ACTIVE or DRAINING: take the step WAKE first."""
        row = await _queries.forget_machine(
            self._pool, user_id=lease.user_id, owner=lease.owner, fence=lease.fence, now=self._clock.now()
        )
        return _moved(row, lease.user_id, "it counts as serving, or the lease was lost")

    async def note_host(self, lease: Lease, *, down_since: datetime | None) -> Instance:
        row = await _queries.note_host(
            self._pool, user_id=lease.user_id, owner=lease.owner, fence=lease.fence, down_since=down_since
        )
        return _moved(row, lease.user_id, "the lease was lost")

    async def exchange_volume(self, lease: Lease, *, volume_id: str, region: str, reason: str) -> Instance:
        row = await _queries.exchange_volume(
            self._pool,
            user_id=lease.user_id,
            owner=lease.owner,
            fence=lease.fence,
            volume_id=volume_id,
            region=region,
            reason=reason,
            now=self._clock.now(),
        )
        return _moved(row, lease.user_id, "it counts as serving, has no volume, or the lease was lost")

    async def drop_volume(self, lease: Lease, *, region: str) -> Instance:
        row = await _queries.drop_volume(
            self._pool,
            user_id=lease.user_id,
            owner=lease.owner,
            fence=lease.fence,
            region=region,
            now=self._clock.now(),
        )
        return _moved(row, lease.user_id, "it is not provisioning, has a Machine, or the lease was lost")

    async def kept_volumes(self, user_id: UserId | None = None) -> Sequence[KeptVolume]:
        return [
            KeptVolume(**{**dict(row), "user_id": UserId(row["user_id"])})
            async for row in _queries.kept_volumes(self._pool, user_id=user_id)
        ]

    async def remove(self, lease: Lease, *, actor: str) -> None:
        row = await _queries.remove_instance(
            self._pool,
            user_id=lease.user_id,
            owner=lease.owner,
            fence=lease.fence,
            actor=actor,
            now=self._clock.now(),
        )
        _moved(row, lease.user_id, "it is not deleting, or the lease was lost")

    async def touch(self, touches: Sequence[Touch]) -> None:
        await _queries.touch_instances(
            self._pool, user_ids=[touch.user_id for touch in touches], ats=[touch.at for touch in touches]
        )

    async def quiet(self, *, before: datetime, limit: int, after: Candidate | None = None) -> Sequence[Candidate]:
        rows = _queries.quiet_instances(
            self._pool,
            before=before,
            after_at=after.instance.last_active if after else None,
            after_id=after.instance.user_id if after else None,
            most=limit,
        )
        return [_candidate(row) async for row in rows]

    async def asleep(self, *, before: datetime, limit: int, after: Candidate | None = None) -> Sequence[Candidate]:
        rows = _queries.asleep_instances(
            self._pool,
            before=before,
            after_at=after.instance.state_since if after else None,
            after_id=after.instance.user_id if after else None,
            most=limit,
        )
        return [_candidate(row) async for row in rows]

    async def search(
        self,
        *,
        state: State | None,
        region: str | None,
        word: str | None,
        sort: str,
        descending: bool,
        after: tuple[str, UUID] | None,
        limit: int,
    ) -> Sequence[tuple[str, Instance]]:
        """Instances with the text they are sorted by; `after` is the last such pair of the page before.

        `word` is part of the address, the beginning of the user's id, or all of an Instance's or a Machine's name.
        """
        rows = _queries.search_instances(
            self._pool,
            state=state,
            region=region,
            word=word,
            sort=sort,
            descending=descending,
            after_key=None if after is None else after[0],
            after_id=None if after is None else after[1],
            most=limit,
        )
        return [(row["sort_key"], instance_of(row)) async for row in rows]

    async def unfinished(self, *, limit: int) -> Sequence[Instance]:
        rows = _queries.unfinished_instances(self._pool, now=self._clock.now(), most=limit)
        return [instance_of(row) async for row in rows]


def _moved(row: Any, user_id: UserId, otherwise: str) -> Instance:
    """The row that was changed. Raises Moved, saying `otherwise`, if none was."""
    if row is None:
        raise Moved(f"Instance of {user_id}: {otherwise}")
    return instance_of(row)


def _candidate(row: Any) -> Candidate:
    return Candidate(instance=instance_of(row), keep_awake_until=row["keep_awake_until"])


def instance_of(row: Any) -> Instance:
    """One row of `user_instances`."""
    return Instance(
        user_id=UserId(row["user_id"]),
        id=row["id"],
        email=row["email"],
        state=State(row["state"]),
        app_name=row["app_name"],
        machine_name=row["machine_name"],
        region=row["region"],
        machine_id=row["machine_id"],
        volume_id=row["volume_id"],
        private_ip=row["private_ip"],
        image=row["image"],
        last_active=row["last_active"],
        state_since=row["state_since"],
        created_at=row["created_at"],
        error=row["error"],
        isolation=Isolation(row["isolation"]),
        app_id=row["app_id"],
        flycast_ip=row["flycast_ip"],
        guest=None if row["guest"] is None else Guest.parse(row["guest"]),
        volume_gb=row["volume_gb"],
        host_down_since=row["host_down_since"],
        former_image=row["former_image"],
    )
