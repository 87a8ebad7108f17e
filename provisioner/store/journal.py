"""How long steps took, and who did what."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final
from uuid import UUID

from provisioner.audit import Entry
from provisioner.clock import Clock
from provisioner.instance import UserId
from provisioner.ports import Usual
from provisioner.store import audit
from provisioner.store.database import Tables, queries
from provisioner.store.together import Together

_Timed = tuple[UUID, str, str, float, datetime]
_queries: Final = queries("journal")
DROP_EVERY: Final = 50
"""Runs after which old times are dropped: to look for them costs more than to write a few."""


class Journal(Tables):
    """The part of `ports.Store` about `step_times`, whose docstrings hold here, and the audit log."""

    def __init__(self, pool: Any, clock: Clock) -> None:
        super().__init__(pool, clock)
        self._runs = Together(self._write_runs)
        self._journalled: Counter[str] = Counter()

    async def journal(self, instance_id: UUID, *, path: str, steps: Mapping[str, float]) -> None:
        at = self._clock.now()
        await self._runs.add([(instance_id, path, step, took_s, at) for step, took_s in steps.items()])
        self._journalled[path] += 1
        if self._journalled[path] % DROP_EVERY == 1:
            await _queries.drop_step_times(self._pool, path=path)

    async def _write_runs(self, runs: Sequence[Sequence[_Timed]]) -> None:
        columns = list(zip(*chain.from_iterable(runs), strict=True))
        if columns:
            names = ("instance_ids", "paths", "steps", "took_s", "ats")
            await _queries.add_step_times(self._pool, **dict(zip(names, columns, strict=True)))

    async def usual(self) -> Mapping[tuple[str, str], Usual]:
        rows = _queries.usual_step_times(self._pool)
        return {(row["path"], row["step"]): Usual(row["median_s"], row["p95_s"]) async for row in rows}

    async def append_audit(
        self, actor: str, action: str, user_id: UserId | None, detail: Mapping[str, object] | None = None
    ) -> None:
        """Write down what was done without a change of state. Steps of an Instance write their own rows."""
        await _queries.append_audit(
            self._pool,
            actor=actor,
            action=action,
            user_id=user_id,
            detail=json.dumps(dict(detail or {})),
            now=self._clock.now(),
        )

    async def latest_audit(
        self,
        *,
        user_id: UserId | None = None,
        since: datetime | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> Sequence[Entry]:
        """See `provisioner.audit.Trail`."""
        return await audit.latest(self._pool, user_id=user_id, since=since, before=before, limit=limit)

    async def following_audit(self, after: int, *, limit: int) -> Sequence[Entry]:
        """Rows behind number `after`, in order."""
        return await audit.following(self._pool, after, limit=limit)

    async def last_audit(self) -> int:
        """The number of the last row, 0 if there is none."""
        return await audit.last(self._pool)
