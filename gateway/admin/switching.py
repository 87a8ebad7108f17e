"""`/v1/switches`: what is held back, and holding it back."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from gateway.admin.contract import Ask, Body, Call, Operation, Operations, Shown, Text
from provisioner.switches import MESSAGE_MOST, Position, Switch, Switches, SwitchRecords


class SwitchShown(Shown):
    name: Switch
    is_on: bool
    message: str = Field(description="Why; users read it where the switch shows.")
    changed_at: datetime | None
    changed_by: str | None

    @classmethod
    def of(cls, position: Position) -> "SwitchShown":
        return cls.model_validate(position)


class SwitchesShown(Shown):
    switches: list[SwitchShown]


class AskSwitch(Ask):
    name: Switch = Field(description="The switch.")


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has to be one line of printable text")
    return text.strip()


class NewPosition(Body):
    is_on: bool = Field(strict=True)
    message: Annotated[Text, AfterValidator(_one_line)] = Field(
        "", max_length=MESSAGE_MOST, description="Why. Under `maintenance` and `pause_provisioning` users read it."
    )


class SwitchDesk:
    """Handlers of `/v1/switches`."""

    def __init__(self, records: SwitchRecords, switches: Switches) -> None:
        self._records, self._switches = records, switches

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/switches",
                name="listSwitches",
                summary="What may be held back for a while, and what is.",
                run=self.all,
                ask=Ask,
                gives=SwitchesShown,
            ),
            Operation(
                method="PUT",
                path="/v1/switches/{name}",
                name="flipSwitch",
                summary="Hold it back, or go on; every replica follows at once.",
                run=self.flip,
                ask=AskSwitch,
                body=NewPosition,
                gives=SwitchShown,
            ),
        )

    async def all(self, _: Call[Ask, None]) -> SwitchesShown:
        return SwitchesShown(switches=[SwitchShown.of(each) for each in await self._records.positions()])

    async def flip(self, call: Call[AskSwitch, NewPosition]) -> SwitchShown:
        position = await self._records.flip(call.ask.name, call.body.is_on, call.body.message, actor=call.caller.actor)
        self._switches.stand([position])  # here at once; the others hear of it
        return SwitchShown.of(position)
