"""`/v1/health`: what everything stands on, checked now, as coded findings."""

from typing import Literal

from pydantic import Field

from gateway.admin.contract import Ask, Call, Operation, Operations, Shown
from gateway.checkup.checks import Checkup


class FindingShown(Shown):
    code: str
    level: Literal["good", "warn", "bad"]
    title: str
    told: str
    cause: str = Field(description="What it usually means when it is not good.")
    check: str
    fix: str
    doc: str


class FindingsShown(Shown):
    findings: list[FindingShown]


class HealthDesk:
    """The handler of `/v1/health`."""

    def __init__(self, checkup: Checkup) -> None:
        self._checkup = checkup

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/health",
                name="checkHealth",
                summary="Database, Supabase, Fly, clock, image and replicas, checked now by the replica that answers.",
                run=self.check,
                ask=Ask,
                gives=FindingsShown,
            ),
        )

    async def check(self, _: Call[Ask, None]) -> FindingsShown:
        return FindingsShown(findings=[FindingShown.model_validate(each) for each in await self._checkup()])
