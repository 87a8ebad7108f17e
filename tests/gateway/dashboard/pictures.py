"""Pictures of the dashboard: `python -m tests.gateway.dashboard.pictures FOLDER`."""

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from tests.gateway.dashboard.stage import Stage, staged
from tests.parts.browser import find_chromium
from tests.parts.postgres import postgres_server

WIDTHS = {390: 844, 1280: 900}


def paths(stage: Stage) -> dict[str, str]:
    """Every page by name."""
    return {
        "sign-in": "/sign-in",
        "overview": "/",
        "instances": "/instances",
        "instance": f"/instances/{stage.ada.user_id}",
        "signups": "/signups",
        "rollouts": "/rollouts",
        "visits": "/visits",
        "health": "/health",
        "switches": "/switches",
        "audit": "/audit",
    }


async def take(folder: Path, only: str) -> None:
    """Write `<name>-<width>-<scheme>.png` into `folder` for each page whose name contains `only`."""
    async with postgres_server() as server, server.fresh() as database, async_playwright() as playwright:
        with tempfile.TemporaryDirectory() as place:
            async with staged(database, Path(place)) as stage:
                chromium = await playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
                for width, height in WIDTHS.items():
                    for scheme in ("light", "dark"):
                        context = await chromium.new_context(
                            base_url=stage.url, viewport={"width": width, "height": height}, color_scheme=scheme
                        )
                        page = await context.new_page()
                        for name, path in paths(stage).items():
                            if name != "sign-in" and not await context.cookies():
                                await page.goto("/sign-in")
                                await page.fill("#token", stage.token)
                                await page.click("button")
                            if only not in name:
                                continue
                            await page.goto(path)
                            if name != "sign-in":
                                await page.wait_for_selector("#live[data-live=on]")
                            await page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
                        await context.close()
                await chromium.close()


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
