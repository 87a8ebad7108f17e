"""What the stand-in remembers: apps, Machines, volumes. Plain values, with what is only of this run marked so."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Self

from localcloud.fly import ids
from localcloud.fly.clock import Clock, rfc3339
from localcloud.fly.process import Running
from localcloud.fly.states import Event, State, step

Json = dict[str, Any]
OF_THIS_RUN = {"of_this_run": True}


class Record:
    """A dataclass that can be put into JSON and taken out again, without its fields of this run."""

    def kept(self) -> Json:
        return {
            item.name: getattr(self, item.name)
            for item in fields(self)  # type: ignore[arg-type]
            if not item.metadata.get("of_this_run")
        }

    @classmethod
    def restored(cls, kept: Mapping[str, Any]) -> Self:
        return cls(**kept)


@dataclass(slots=True, kw_only=True)
class App(Record):
    """An app. `secrets` are values by name."""

    id: str
    name: str
    number: int
    organization: str
    network: str
    created_at: str
    status: str = "pending"
    ips: list[Json] = field(default_factory=list)
    secrets: dict[str, Json] = field(default_factory=dict)
    secrets_version: int = 0


@dataclass(slots=True, kw_only=True)
class Volume(Record):
    """A disk: a folder. Its state is Fly's word."""

    id: str
    app: str
    name: str
    region: str
    size_gb: int
    state: str
    created_at: str
    encrypted: bool = True
    fstype: str = "ext4"
    snapshot_retention: int = 5
    auto_backup_enabled: bool = True
    attached_machine_id: str | None = None
    destroy_at: str | None = None
    snapshots: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class Lease:
    """Somebody's right to change a Machine, for a while."""

    nonce: str
    owner: str
    description: str
    expires_at: datetime
    version: str


@dataclass(slots=True)
class Waiter:
    """A call that waits for a Machine to be as it wishes."""

    wish: Callable[["Machine"], bool]
    met: asyncio.Future[Json]


@dataclass(slots=True, kw_only=True)
class Machine(Record):
    """A Machine. `version` is what the API calls instance_id; `events` are oldest first."""

    id: str
    app: str
    name: str
    region: str
    config: Json
    version: str
    private_ip: str
    created_at: str
    updated_at: str
    state: State = State.CREATED
    cordoned: bool = False
    prepared: bool = False
    events: list[Json] = field(default_factory=list)
    versions: list[Json] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    restarts: int = 0

    born: float = field(default=0.0, metadata=OF_THIS_RUN)
    died: float = field(default=0.0, metadata=OF_THIS_RUN)
    host_status: str = field(default="ok", metadata=OF_THIS_RUN)
    lease: Lease | None = field(default=None, metadata=OF_THIS_RUN)
    process: Running | None = field(default=None, metadata=OF_THIS_RUN)
    errand: asyncio.Task[None] | None = field(default=None, metadata=OF_THIS_RUN)
    waiters: list[Waiter] = field(default_factory=list, metadata=OF_THIS_RUN)

    @property
    def metadata(self) -> dict[str, str]:
        """The live one: changing it makes no new version."""
        metadata: dict[str, str] = self.config.setdefault("metadata", {})
        return metadata

    @property
    def volume_ids(self) -> list[str]:
        return [mount["volume"] for mount in self.config.get("mounts", [])]

    def move(self, event: Event, clock: Clock, *, kind: str, source: str, request: Json | None = None) -> None:
        """Take the step, write its event, and tell those who wait. Raises IllegalStep and changes nothing."""
        self.state = step(self.state, event)
        self.note(clock, kind=kind, source=source, request=request)

    def note(self, clock: Clock, *, kind: str, source: str, request: Json | None = None) -> None:
        """Write an event about the state as it is, and tell those who wait."""
        now = clock.now()
        self.updated_at = rfc3339(now)
        self.events.append(
            {
                "id": ids.ulid(now),
                "type": kind,
                "status": str(self.state),
                "source": source,
                "timestamp": int(now.timestamp() * 1000),
                "request": request,
            }
        )
        del self.events[:-50]  # Fly lists 50 at most
        self.tell()

    def tell(self) -> None:
        """Look again who waits for what. Done at each change, so no state is too short to be noticed."""
        for waiter in [waiter for waiter in self.waiters if waiter.wish(self)]:
            self.waiters.remove(waiter)
            if not waiter.met.done():
                waiter.met.set_result(self.reached())

    def reached(self) -> Json:
        """The answer to a wait that was met."""
        return {
            "ok": True,
            "state": str(self.state),
            "event_id": self.events[-1]["id"] if self.events else "",
            "version": self.version,
        }
