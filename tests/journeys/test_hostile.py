"""A Machine that turned against its owner, in a real browser: its pages share the public origin with everybody's
Machine and try what pages can. The two origins are of one site here, as they are in production.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.journeys.conftest import APP
from tests.parts.browser import chromium, connection
from tests.parts.postgres import Server
from tests.parts.system import Replica, served

__all__ = ["chromium"]  # a fixture

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Scene:
    """Ada's browser: signed in at her Jarvis and at her account pages, with a page of her Machine in front."""

    context: BrowserContext
    page: Page
    public: str
    account: str
    admin: str
    email: str
    rows: asyncpg.Connection

    async def sign_in(self, email: str, next_path: str) -> Page:
        page = await self.context.new_page()
        await page.goto(f"{self.public}/auth/login?next={next_path}&login_hint={email}")
        return page

    async def harm(self) -> dict[str, Any]:
        """What must not have happened."""
        row = await self.rows.fetchrow(
            "select (select count(*) from gateway.deletions) as deletions,"
            " (select count(*) from gateway.access_tokens) as tokens,"
            " (select count(*) from gateway.audit_log where action = 'data_exported') as exports,"
            " (select count(*) from gateway.sessions where email = $1) as sessions",
            self.email,
        )
        assert row is not None
        return dict(row)


UNHARMED = {"deletions": 0, "tokens": 0, "exports": 0, "sessions": 2}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    """For all of them: each brings an Ada and a browser of her own, and no harm is done to anybody."""
    async with (
        postgres.fresh() as database,
        served(tmp_path_factory.mktemp("hostile"), database, app_command=APP) as cloud,
    ):
        cloud.auth.project.rate_burst = 1_000
        port = cloud.auth.project.site_url.rpartition(":")[2]
        yield await cloud.replica("one", PUBLIC_URL=f"http://jarvis.localhost:{port}", SIGN_IN_PER_MINUTE="600")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with connection(chromium) as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def scene(browser: Browser, gateway: Replica) -> AsyncIterator[Scene]:
    port = urlsplit(gateway.public).port
    public, account = f"http://jarvis.localhost:{port}", f"http://account.jarvis.localhost:{port}"
    context = await browser.new_context()
    rows = await asyncpg.connect(gateway.database)
    email = f"ada-{uuid4().hex[:6]}@example.com"
    scene = Scene(context, await context.new_page(), public, account, gateway.admin, email, rows)
    await scene.page.goto(f"{account}/auth/login?next=/data&login_hint={email}")
    assert "Delete everything" in await scene.page.content()
    await scene.page.goto(f"{public}/auth/login?next=/hostile&login_hint={email}")
    await expect(scene.page).to_have_title("hostile", timeout=30_000)
    assert await scene.harm() == UNHARMED
    yield scene
    await rows.close()
    await context.close()


FETCHES = """async ({account, email}) => {
  const told = [];
  const body = new URLSearchParams({csrf: "x", confirm: email, name: "x", days: "90", scope: "app", session: "0"});
  for (const path of ["/", "/sessions", "/tokens", "/data", "/export", "/delete", "/tokens/new", "/sessions/end-all"])
    for (const mode of ["cors", "no-cors"])
      for (const method of ["GET", "POST"])
        try {
          const init = {mode, method, credentials: "include", body: method === "POST" ? body : undefined};
          told.push((await (await fetch(account + path, init)).text()));
        } catch (error) { told.push("") }
  return told.join("");
}"""

FRAMES = """async ({account}) => {
  const frame = document.createElement("iframe");
  const loaded = new Promise(done => frame.onload = done);
  frame.src = account + "/data";
  document.body.append(frame);
  await loaded;
  try { return frame.contentDocument ? frame.contentDocument.body.innerText : "" } catch (error) { return "" }
}"""

WINDOWS = """async ({account}) => {
  const opened = open(account + "/data");
  if (!opened) return "no window";
  for (let tries = 0; tries < 200 && !opened.closed; tries++) await new Promise(done => setTimeout(done, 20));
  try { return opened.closed ? "cut off" : opened.document.body.innerText } catch (error) { return "refused" }
}"""

FORMS = """({account, email, path, target}) => {
  const form = document.createElement("form");
  form.method = "post"; form.action = account + path; form.target = target;
  for (const [name, value] of Object.entries({csrf: "x", confirm: email, name: "x", days: "90", scope: "app"})) {
    const input = document.createElement("input");
    input.type = "hidden"; input.name = name; input.value = value; form.append(input);
  }
  document.body.append(form); form.submit();
}"""


async def test_scripts_frames_and_windows_get_nothing_out_of_the_account_pages(scene: Scene) -> None:
    """It cannot read my account pages, nor do anything there with the cookie that my browser sends along."""
    given = {"account": scene.account, "email": scene.email}
    assert await scene.page.evaluate(FETCHES, given) == ""
    assert await scene.page.evaluate(FRAMES, given) == ""
    assert await scene.page.evaluate(WINDOWS, given) == "cut off"
    assert await scene.harm() == UNHARMED


@pytest.mark.parametrize("path", ["/delete", "/export", "/tokens/new", "/sessions/end-all", "/auth/logout"])
async def test_a_form_sent_from_a_machines_page_does_nothing(scene: Scene, path: str) -> None:
    """The browser sends my account cookie with it: both origins are of one site. The account pages look further."""
    async with scene.context.expect_page() as opened:
        await scene.page.evaluate(
            FORMS, {"account": scene.account, "email": scene.email, "path": path, "target": "_blank"}
        )
    page = await opened.value
    await page.wait_for_load_state()
    assert "Not from here" in await page.content()
    assert await scene.harm() == UNHARMED


async def test_it_cannot_read_session_ids_nor_reach_the_admin_api(scene: Scene) -> None:
    """Neither by script nor from what the gateway passes on to the Machine, nor by asking the admin listener."""
    cookies = {c["name"]: c["value"] for c in await scene.context.cookies([scene.public, scene.account])}
    assert {"jarvis", "jarvis-account"} <= cookies.keys()
    seen = await scene.page.evaluate(
        "async () => document.cookie + await (await fetch('/headers')).text() + JSON.stringify(localStorage)"
        " + await (await fetch('/_gateway/instance')).text()"
    )
    assert not [name for name, value in cookies.items() if value in seen]
    for path in ("/v1/instances", "/v1/signups", "/metrics"):
        for mode in ("cors", "no-cors"):
            told = await scene.page.evaluate(
                "async ([url, mode]) => { try {"
                " return await (await fetch(url, {mode, credentials: 'include'})).text() }"
                " catch (error) { return '' } }",
                [scene.admin + path, mode],
            )
            assert told == ""


async def test_tossed_cookies_make_nobody_somebody_else(scene: Scene) -> None:
    """It plants cookies for the whole site: at worst I am asked to sign in again, never somebody else."""
    domain = "Domain=jarvis.localhost; Path=/"
    for name in ("jarvis-account", "jarvis-account-flow-AAAAAAAA", "jarvis-account-loop", "jarvis-account-last"):
        await scene.page.evaluate("cookie => { document.cookie = cookie }", f"{name}={'A' * 43}; {domain}")
        await scene.page.evaluate(
            "cookie => fetch('/plant?cookie=' + encodeURIComponent(cookie))", f"{name}=B; {domain}"
        )
    page = await scene.context.new_page()
    await page.goto(f"{scene.account}/data")
    assert "Delete everything" not in await page.content() or scene.email in await page.content()
    assert await scene.harm() == UNHARMED


@pytest.mark.parametrize("script", ["/sw.js", "/deep/sw.js"])
async def test_a_service_worker_does_not_come_between_me_and_the_gateway_nor_meet_the_next_user(
    scene: Scene, script: str
) -> None:
    """It asks for the whole origin, wants to answer for /auth/ and for the App. I sign out, Grace signs in: her own."""
    await scene.page.evaluate(
        "async script => { try { await navigator.serviceWorker.register(script, {scope: '/'});"
        " await navigator.serviceWorker.ready } catch (error) { return String(error) } }",
        script,
    )
    page = await scene.context.new_page()
    await page.goto(f"{scene.public}/auth/login?next=/hostile")
    assert await page.title() == "hostile"
    await page.evaluate(
        "() => { const form = document.createElement('form'); form.method = 'post'; form.action = '/auth/logout';"
        " document.body.append(form); form.submit() }"
    )
    await page.wait_for_url("**/?signed-out")
    grace = await scene.sign_in(f"grace-{uuid4().hex[:6]}@example.com", "/env")
    await expect(grace.locator("body")).to_contain_text("grace-", timeout=30_000)
    assert await grace.evaluate("async () => (await navigator.serviceWorker.getRegistrations()).length") == 0
