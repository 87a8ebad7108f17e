"""`/v1/findings`: where Fly and the records differ, and what was done about it."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import Field

from gateway.admin.contract import Ask, Call, Operation, Operations, Shown
from provisioner.reconcile import What
from provisioner.reconciler import Finding

Findings = Callable[[], Awaitable[Sequence[Finding]]]


class SightingShown(Shown):
    """One difference between Fly and the records."""

    what: What
    resource: str = Field(description="Fly's id of what it is about.")
    app: str
    user_id: UUID | None
    size_gb: int = Field(description="Of a disk.")
    detail: dict[str, str]
    usd_per_month: float = Field(description="What it costs as long as it is there: an estimate from Fly's prices.")
    times: int = Field(description="How often it was seen.")
    first_at: datetime
    last_at: datetime
    outcome: str | None = Field(description="What was done, or why nothing was; null while it is only watched.")
    needs_somebody: bool = Field(description="It is left to people: nothing more happens by itself.")

    @classmethod
    def of(cls, finding: Finding) -> "SightingShown":
        seen = finding.sighting
        return cls(
            what=seen.what,
            resource=seen.resource,
            app=seen.app,
            user_id=seen.user_id,
            size_gb=seen.size_gb,
            detail=dict(seen.detail),
            usd_per_month=finding.usd_per_month,
            times=finding.times,
            first_at=finding.first_at,
            last_at=finding.last_at,
            outcome=finding.outcome,
            needs_somebody=finding.left_alone,
        )


class SightingsShown(Shown):
    findings: list[SightingShown]


class FindingsDesk:
    """The handler of `/v1/findings`."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/findings",
                name="listFindings",
                summary="Orphans at Fly and other differences from the records, the dearest first, 500 at most.",
                run=self.all,
                ask=Ask,
                gives=SightingsShown,
            ),
        )

    async def all(self, _: Call[Ask, None]) -> SightingsShown:
        return SightingsShown(findings=[SightingShown.of(each) for each in await self._findings()])
