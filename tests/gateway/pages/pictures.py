"""Pictures of every page: `python -m tests.gateway.pages.pictures FOLDER [PART OF A NAME]`.

Those in the documents, of the operators' dashboard too, are made anew by
`python -m tests.gateway.pages.pictures docs/pictures --shown`.
"""

import asyncio
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from playwright.async_api import async_playwright

from gateway.pages.render import Page
from gateway.pages.view import InstanceView
from gateway.session.failures import WORDS, Kind
from gateway.session.visits import Visit
from provisioner.instance import State, UserId
from tests.gateway.dashboard import pictures as dashboard
from tests.gateway.pages import account_scenes
from tests.gateway.pages.stage import SINCE, Stage, staged, view
from tests.parts.browser import find_chromium

WIDTHS = {390: 844, 1280: 800}
SHOWN = {
    "landing-1280-light",
    "landing-390-dark",
    "loading-1280-light",
    "loading-390-dark",
    "loading-slow-390-dark",
    "waiting-failed-390-light",
    "in-line-390-dark",
    "account-1280-light",
    "account-390-dark",
    "account-plan-1280-dark",
    "account-sessions-390-light",
    "account-tokens-390-dark",
    "account-data-390-light",
    "failure-390-dark",
}
"""What the documents show."""
VISIT = Visit(
    id=uuid4(),
    user_id=UserId(uuid4()),
    operator="grace",
    reason="Ticket 4711: notes do not save",
    minutes=30,
    granted_at=SINCE,
    open_until=SINCE + timedelta(minutes=5),
    opened_at=None,
    expires_at=None,
    ended_at=None,
    ended_by=None,
)


def scenes(stage: Stage) -> dict[str, Page | InstanceView]:
    """By name, a page that stands still or a view for one that is live."""
    pages = stage.pages
    unknown = view("boot", took=0.4, start="boot", state=State.PROVISIONING)
    return {
        "landing": pages.landing(error=None),
        "landing-error": pages.landing(error="You left Google before choosing an account."),
        "landing-signed-out": pages.landing(error=None, signed_out=True),
        "privacy": pages.privacy(),
        "in-line": pages.in_line(email="ada@example.com", place=12),
        "loading": view("app", took=0.4, eta_s=0.6),
        "loading-first": replace(unknown, steps=tuple(replace(s, usual_s=None) for s in unknown.steps)),
        "loading-slow": view(
            "app",
            took=4.2,
            slow=1.8,
            attempt=2,
            attempts=5,
            eta_s=3.0,
            error="The cloud that runs your machine did not answer in time.",
        ),
        "loading-failed": view(
            "network", took=8.0, failed=True, state=State.FAILED, error="Your machine did not answer. We try again."
        ),
        "loading-queued": view(None, place=3, eta_s=24.0, state=State.PROVISIONING),
        "waiting-queued": view(None, place=12, eta_s=150.0, state=State.PROVISIONING),
        "waiting-failed": view(
            "boot",
            start="boot",
            failed=True,
            state=State.FAILED,
            error="There was no free machine near you just now.",
            eta_s=42.0,
        ),
        "failure": pages.failure(
            status=502,
            title="Your Jarvis did not answer",
            words="Your machine is on, but what runs on it closed the connection. Trying again usually helps.",
            retry_url="/notes",
            diagnostic_id="7f3a-91c2-0b6e",
        ),
        "failure-404": pages.failure(
            status=404,
            title="There is nothing here",
            words="This address is not in use.",
            retry_url=None,
            diagnostic_id=None,
        ),
        "failure-suspended": pages.failure(
            status=WORDS[Kind.SUSPENDED].status,
            title=WORDS[Kind.SUSPENDED].title,
            words=WORDS[Kind.SUSPENDED].words,
            retry_url="/auth/login",
            diagnostic_id="7f3a-91c2-0b6e",
        ),
        "visit": pages.still("visit.html", 200, {}, visit=VISIT, email="ada@example.com", ticket="t"),
        **account_scenes.scenes(pages),
    }


def path_of(scene: str) -> str:
    """Where a scene is to be seen."""
    return "/welcome/waiting" if scene.startswith("waiting") else "/"


def wanted(name: str, only: str) -> bool:
    """Whether the picture `name` is asked for: by a part of its name, or as one that the documents show."""
    return name in SHOWN if only == "--shown" else only in name


async def take(folder: Path, only: str) -> None:
    """Write `<name>-<width>-<scheme>.png` into `folder` for each that is `wanted`."""
    async with staged() as stage, async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        for name, scene in scenes(stage).items():
            stage.page = scene if isinstance(scene, Page) else None
            if isinstance(scene, InstanceView):
                stage.view = scene
            for width, height in WIDTHS.items():
                for scheme in ("light", "dark"):
                    if not wanted(f"{name}-{width}-{scheme}", only):
                        continue
                    context = await chromium.new_context(
                        viewport={"width": width, "height": height}, color_scheme=scheme, device_scale_factor=1
                    )
                    page = await context.new_page()
                    await page.goto(stage.url + path_of(name))
                    if isinstance(scene, InstanceView):
                        await page.wait_for_function("document.querySelector('#lines li')")
                    await page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
                    await context.close()
        await chromium.close()


if __name__ == "__main__":
    folder, only = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    asyncio.run(take(folder, only))
    if only == "--shown":
        asyncio.run(dashboard.take(folder, only))
