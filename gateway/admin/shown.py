"""What the admin API shows: models that are the answers and their description at once. Times are in UTC."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from gateway.admin.contract import Shown
from gateway.session.admissions import Signup, Standing
from provisioner.audit import Entry
from provisioner.instance import Instance, State
from provisioner.operators import Operator, Role
from provisioner.ports import Waiting


class QueueShown(Shown):
    """A provisioning that failed and waits for its next attempt."""

    error: str
    retry_count: int = Field(description="Failures after the first.")
    next_retry_at: datetime
    place: int | None = Field(description="Among all that wait, from 1; null for one that was given up.")
    dead: bool = Field(description="Given up: nobody tries it before the user comes again, or an operator says so.")


class InstanceShown(Shown):
    """Everything we know of an Instance but keys."""

    user_id: UUID
    id: UUID
    email: str
    state: State
    state_since: datetime
    last_active: datetime
    created_at: datetime
    app_name: str
    machine_name: str
    machine_id: str | None
    volume_id: str | None
    private_ip: str | None
    region: str
    image: str
    error: str | None
    queue: QueueShown | None = None

    @classmethod
    def of(cls, instance: Instance, waiting: Waiting | None = None) -> "InstanceShown":
        queue = None if waiting is None else QueueShown.model_validate(waiting)
        return cls.model_validate(instance).model_copy(update={"queue": queue})


class InstancesPage(Shown):
    instances: list[InstanceShown]
    next: str | None = Field(description="The `after` of the following page; null at the end.")


class OperatorShown(Shown):
    """Who may operate. Their token is shown to nobody."""

    name: str
    role: Role
    created_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")
    revoked_at: datetime | None

    @classmethod
    def of(cls, operator: Operator) -> "OperatorShown":
        return cls.model_validate(operator)


class OperatorMade(OperatorShown):
    """A new operator."""

    token: str = Field(description="In this answer and nowhere else, ever.")


class OperatorsShown(Shown):
    operators: list[OperatorShown]


class EntryShown(Shown):
    """One row of the audit log."""

    id: int
    at: datetime
    actor: str
    action: str
    user_id: UUID | None
    from_state: str | None
    to_state: str | None
    detail: dict[str, Any]
    hash: str = Field(description="SHA-256 in hex: the link of the chain.")

    @classmethod
    def of(cls, entry: Entry) -> "EntryShown":
        facts = {name: getattr(entry, name) for name in cls.model_fields}
        return cls(**{**facts, "detail": json.loads(entry.detail), "hash": entry.hash.hex()})


class AuditPage(Shown):
    entries: list[EntryShown]
    next: int | None = Field(description="The `before` of the following page; null at the end.")


class SignupShown(Shown):
    """Somebody who asked to come in."""

    user_id: UUID
    email: str
    status: Standing
    created_at: datetime
    decided_at: datetime | None
    decided_by: str | None

    @classmethod
    def of(cls, signup: Signup) -> "SignupShown":
        return cls.model_validate(signup)


class SignupsPage(Shown):
    signups: list[SignupShown]
    next: str | None = Field(description="The `after` of the following page; null at the end.")
