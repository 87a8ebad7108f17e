"""What the reconciler saw, in Postgres."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from provisioner.instance import UserId
from provisioner.reconcile import Sighting, What
from provisioner.reconciler import Finding, Sightings
from provisioner.store.database import queries
from provisioner.store.journal import Journal

_queries: Final = queries("sightings")


class SightingTable(Journal):
    """`provisioner.reconciler.Sightings`, whose docstrings hold here."""

    async def take_round(self, name: str, *, owner: str, every: timedelta) -> bool:
        now = self._clock.now()
        taken = await _queries.take_round(self._pool, name=name, owner=owner, now=now, next_at=now + every)
        return taken is not None

    async def see(self, app: str, sightings: Sequence[tuple[Sighting, float]]) -> Sequence[Finding]:
        rows = _queries.see(
            self._pool,
            app_name=app,
            resources=[sighting.resource for sighting, _ in sightings],
            whats=[sighting.what.value for sighting, _ in sightings],
            user_ids=[sighting.user_id for sighting, _ in sightings],
            details=[json.dumps({**sighting.detail, "size_gb": sighting.size_gb}) for sighting, _ in sightings],
            costs=[cost for _, cost in sightings],
            now=self._clock.now(),
        )
        return [_finding(row) async for row in rows]

    async def settle(self, sighting: Sighting, outcome: str) -> None:
        await _queries.settle(
            self._pool, app_name=sighting.app, resource=sighting.resource, what=sighting.what.value, outcome=outcome
        )

    async def all_sightings(self, *, limit: int = 500) -> Sequence[Finding]:
        return [_finding(row) async for row in _queries.all_sightings(self._pool, most=limit)]

    async def note_volumes(self, owners: Mapping[str, UUID], *, env: str, deployment: str) -> None:
        await _queries.note_volumes(
            self._pool,
            volume_ids=list(owners),
            instance_ids=list(owners.values()),
            env=env,
            deployment=deployment,
            now=self._clock.now(),
        )

    async def proven_volumes(self, ids: Collection[str], *, env: str, deployment: str) -> Mapping[str, UUID]:
        rows = _queries.proven_volumes(self._pool, volume_ids=list(ids), env=env, deployment=deployment)
        return {row["volume_id"]: row["instance_id"] async for row in rows}

    async def knows_instance(self, instance_id: UUID) -> bool:
        return bool(await _queries.knows_instance(self._pool, instance_id=instance_id))


def _finding(row: Any) -> Finding:
    detail = json.loads(row["detail"])
    size_gb = detail.pop("size_gb", 0)
    return Finding(
        sighting=Sighting(
            resource=row["resource"],
            what=What(row["what"]),
            app=row["app_name"],
            user_id=None if row["user_id"] is None else UserId(row["user_id"]),
            size_gb=size_gb,
            detail=detail,
        ),
        usd_per_month=row["usd_per_month"],
        times=row["times"],
        first_at=row["first_at"],
        last_at=row["last_at"],
        outcome=row["outcome"],
    )


if TYPE_CHECKING:

    def _are_sightings(table: SightingTable) -> Sightings:
        return table
