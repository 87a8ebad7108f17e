"""A page on socket.io behind the gateway: polling that becomes a WebSocket, clicks after a sleep, a large form."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from playwright.async_api import Locator, Page, Response

from tests.applications.conftest import digest, put_to_sleep
from tests.applications.patience import PATIENCE_MS, expect
from tests.journeys.visitor import operator_of
from tests.parts.system import System, until

TICKS: Final = re.compile(r"^\d+ ticks$")


@dataclass
class Wire:
    """What socket.io did on the network: `polling 200`, `websocket 101`, in order."""

    said: list[str] = field(default_factory=list)

    @classmethod
    async def of(cls, page: Page) -> Self:
        """The wire of `page` from now on. Its WebSockets are known to DevTools only."""
        wire = cls()
        devtools = await page.context.new_cdp_session(page)
        await devtools.send("Network.enable")
        devtools.on("Network.webSocketHandshakeResponseReceived", wire._on_handshake)
        page.on("response", wire._on_response)
        return wire

    async def upgraded(self) -> bool:
        return "websocket 101" in self.said

    def _on_handshake(self, event: dict[str, Any]) -> None:
        self.said.append(f"websocket {event['response']['status']}")

    def _on_response(self, response: Response) -> None:
        if "transport=polling" in response.url:
            self.said.append(f"polling {response.status}")


def number(words: str) -> int:
    return int(re.sub(r"\D", "", words))


async def moved_on(label: Locator, past: int) -> None:
    """Return when the number in `label` is greater than `past`, which only the server can make it."""

    async def greater() -> bool:
        return number(await label.inner_text()) > past

    await until(greater, within=PATIENCE_MS / 1000)


async def test_polling_becomes_a_websocket_and_carries_both_ways(page: Page, live: System, email: str) -> None:
    """The page moves by itself and by clicks, first by long polling, then on a WebSocket."""
    wire = await Wire.of(page)
    await page.goto(f"{live.public}/auth/login?login_hint={email}")
    ticks = page.get_by_text(TICKS)
    await expect(ticks).to_be_visible()

    await moved_on(ticks, number(await ticks.inner_text()))
    await page.get_by_role("button", name="Click").click()
    await expect(page.get_by_text("1 clicks")).to_be_visible()

    await until(wire.upgraded)
    assert wire.said[0] == "polling 200"
    assert set(wire.said) == {"polling 200", "websocket 101"}, "nothing was refused on the way"
    await moved_on(ticks, number(await ticks.inner_text()))


async def test_clicks_work_again_after_the_machine_slept(page: Page, live: System, email: str) -> None:
    """The count that only the server's memory holds goes on where it was, and so do the pushes."""
    wire = await Wire.of(page)
    await page.goto(f"{live.public}/auth/login?login_hint={email}")
    click = page.get_by_role("button", name="Click")
    await expect(click).to_be_visible()
    await click.click()
    await expect(page.get_by_text("1 clicks")).to_be_visible()
    async with operator_of(live) as operator:
        await put_to_sleep(operator, email)
        del wire.said[:]

        await click.click()

        await expect(page.get_by_text("2 clicks")).to_be_visible()
        assert await operator.calls("start_machine", email)
    await until(wire.upgraded)
    ticks = page.get_by_text(TICKS)
    await moved_on(ticks, number(await ticks.inner_text()))


async def test_200_mb_arrive_in_one_body(page: Page, live: System, email: str, large_file: Path) -> None:
    """A browser sends a file as one long form while the same page's WebSocket goes on."""
    await page.goto(f"{live.public}/auth/login?login_hint={email}")
    ticks = page.get_by_text(TICKS)
    await expect(ticks).to_be_visible()

    await page.locator("input[type=file]").set_input_files(large_file)

    await expect(page.get_by_text(f"{large_file.name} is kept")).to_be_visible()
    (kept,) = live.data_dir.glob(f"fly/volumes/*/{large_file.name}")
    assert digest(kept) == digest(large_file)
    await moved_on(ticks, number(await ticks.inner_text()))
