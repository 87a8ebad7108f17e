"""Pictures of the dashboard: `python -m tests.gateway.dashboard.pictures FOLDER [PART OF A NAME]`.

Those in the documents are made anew together with those of the users' pages: see tests/gateway/pages/pictures.py.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from tests.gateway.dashboard.stage import Stage, staged
from tests.parts.browser import find_chromium
from tests.parts.postgres import postgres_server

WIDTHS = {390: 844, 1280: 900}
SHOWN = {
    "admin-overview-1280-light": 735,
    "admin-overview-390-dark": 844,
    "admin-instance-1280-light": 640,
    "admin-rollouts-1280-light": 860,
    "admin-health-1280-light": 420,
}
"""What the documents show, each with how far down."""


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
    """Write `admin-<name>-<width>-<scheme>.png` into `folder` for each whose name contains `only`, or that is SHOWN."""
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
                            picture = f"admin-{name}-{width}-{scheme}"
                            if picture not in SHOWN if only == "--shown" else only not in picture:
                                continue
                            await page.goto(path)
                            if name != "sign-in":
                                await page.wait_for_selector("#live[data-live=on]")
                            shown = (
                                {"x": 0, "y": 0, "width": width, "height": SHOWN[picture]}
                                if only == "--shown"
                                else None
                            )
                            await page.screenshot(path=folder / f"{picture}.png", full_page=True, clip=shown)
                        await context.close()
                await chromium.close()


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
