"""What people see while they wait, and at their account: the whole system, in a real Chromium."""

import re
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page, expect

from tests.journeys.conftest import APP
from tests.journeys.test_loading import RANK
from tests.journeys.visitor import Operator
from tests.parts.account import account_of
from tests.parts.browser import PageLog, browser, chromium
from tests.parts.system import System, dev_system, until

__all__ = ["browser", "chromium"]  # fixtures

ARRIVAL_MS = 60_000
QUICK_TO_SHOW = {
    "HOLD_NAVIGATION_S": "0.2",
    "HOLD_FIRST_VISIT_S": "0.1",
    "SWEEP_EVERY_S": "0.3",
    "SIGNUP_MODE": "invite",
    "SIGNUP_ALLOW": "example.com",
    "SIGN_IN_PER_MINUTE": "600",
}
DEEP = "/env?from=bookmark&tab=2"

WATCH = """() => { window.seen = [];
  const look = () => { const rows = [...document.querySelectorAll('#steps li')].map(row => row.dataset.state);
    const bar = document.getElementById('bar'); if (!bar) return;
    const now = JSON.stringify([rows, document.getElementById('say').textContent]);
    if (now !== window.last) { window.last = now; seen.push({ rows, bar: bar.value }) }
    sessionStorage.setItem('seen', JSON.stringify(seen)) };
  look(); new MutationObserver(look).observe(document.body, { subtree: true, attributes: true, childList: true }) }"""


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """In place of everybody's: it soon shows its pages, and lets in by itself only who is at example.com."""
    folder = tmp_path_factory.mktemp("pages")
    with dev_system(folder / "data", app_command=APP, environment=QUICK_TO_SHOW) as system:
        yield system


@pytest.fixture
async def tab(browser: Browser) -> AsyncIterator[Page]:
    """A browser of somebody nobody has seen before."""
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(ARRIVAL_MS)
    yield page
    await context.close()


def somebody(host: str = "example.com") -> str:
    return f"ada-{uuid4().hex[:8]}@{host}"


async def test_signing_up_with_a_slow_boot_shows_moving_steps_and_ends_at_the_deep_link(
    tab: Page, dev: System, operator: Operator
) -> None:
    """I follow a bookmark, sign up, watch the steps get done one after the other, and am where I wanted to be."""
    await operator.latencies(create=2.5, start=0.5)
    email = somebody()
    await tab.goto(dev.public + DEEP)
    await tab.get_by_label("Use another account").fill(email)
    await tab.get_by_role("button", name="Continue").click()
    await expect(tab.locator("h1")).to_have_text("Setting up your Jarvis", timeout=ARRIVAL_MS)
    log = PageLog.of(tab, dev.public)
    await tab.evaluate(WATCH)
    await expect(tab.locator("body")).to_contain_text(email, timeout=ARRIVAL_MS)
    assert tab.url == dev.public + DEEP
    seen = await tab.evaluate("JSON.parse(sessionStorage.getItem('seen'))")
    assert len({str(each["rows"]) for each in seen}) >= 3
    for old, new in pairwise(seen):
        assert new["bar"] >= old["bar"]
        assert all(RANK[now] >= RANK[was] for was, now in zip(old["rows"], new["rows"], strict=True))
    assert log.clean, log


async def test_after_a_failure_i_wait_and_when_the_operator_retries_i_arrive_without_touching_anything(
    tab: Page, dev: System, operator: Operator
) -> None:
    """No room: I read why, and that I may stay. Somebody behind the counter helps, and my page opens by itself."""
    await operator.fault("create_machine", {"kind": "capacity", "scope": "region"}, times=None)
    email = somebody()
    await tab.goto(f"{dev.public}/auth/login?next=/env&login_hint={email}")
    await expect(tab.locator("h1")).to_have_text("We could not start your Jarvis yet", timeout=ARRIVAL_MS)

    async def in_the_waiting_room() -> bool:
        if not tab.url.endswith("/welcome/waiting"):
            await tab.goto(dev.public + "/welcome/waiting")
        return await tab.get_by_role("button", name="Try again now").is_visible()

    await until(in_the_waiting_room, within=30)
    await expect(tab.locator("#say")).to_contain_text("no room")
    await operator.rows.execute("update public.provisioning_queue set next_retry_at = now() + interval '1 day'")
    await operator.heal()
    log = PageLog.of(tab, dev.public)
    await operator.act(email, "start")
    await tab.wait_for_url(dev.public + "/", timeout=ARRIVAL_MS)
    assert (await operator.show(email))["state"] == "active"
    assert log.clean, log


async def test_from_the_waiting_list_i_arrive_by_myself_once_i_am_let_in(
    tab: Page, dev: System, operator: Operator
) -> None:
    """I see my place; the operator lets me in; the page signs me in and brings me to where I wanted to go."""
    email = somebody("elsewhere.example")
    await tab.goto(f"{dev.public}/auth/login?next=/env&login_hint={email}")
    await expect(tab.locator("h1")).to_have_text("You are on the waiting list")
    assert tab.url == dev.public + "/welcome/waiting"
    place = await operator.rows.fetchval("select count(*) from gateway.signups where status = 'waiting'")
    await expect(tab.locator("#place")).to_have_text(str(place))
    log = PageLog.of(tab, dev.public)
    user_id = await operator.rows.fetchval("select user_id from gateway.signups where email = $1", email)
    answer = await operator.http.post(f"/v1/signups/{user_id}/admit")
    assert answer.status_code == 200, answer.text
    await tab.wait_for_url(dev.public + "/env", timeout=ARRIVAL_MS)
    await expect(tab.locator("body")).to_contain_text(email, timeout=ARRIVAL_MS)
    assert not log.errors


async def test_at_my_account_i_keep_it_awake_restart_it_revoke_a_session_and_leave_for_good(
    browser: Browser, tab: Page, dev: System, operator: Operator
) -> None:
    """All with the mouse, and each page tells what is so now."""
    email, account = somebody(), account_of(dev.public)
    await tab.goto(f"{dev.public}/auth/login?next=/env&login_hint={email}")
    await expect(tab.locator("body")).to_contain_text(email, timeout=ARRIVAL_MS)
    mine = await tab.context.new_page()
    await mine.goto(f"{account}/auth/login?next=/&login_hint={email}")
    heading = mine.locator("h1")
    await expect(heading).to_have_text("Your machine is on.")
    log = PageLog.of(mine, account)
    await expect(mine.locator(".wakes li").first).to_contain_text("Made in")
    await expect(mine.locator(".story li").first).to_contain_text("Made")

    await mine.get_by_label("Keep it awake for").select_option("1")
    await mine.get_by_role("button", name="Keep awake").click()
    await expect(mine.get_by_text("You asked to keep it awake; that ends in")).to_be_visible()
    await mine.get_by_role("button", name="Let it sleep").click()
    await expect(mine.get_by_role("status")).to_contain_text("may go to sleep again")
    await expect(mine.get_by_text("You asked to keep it awake")).to_be_hidden()

    before = (await operator.show(email))["state_since"]
    await mine.get_by_role("button", name="Restart").click()
    await expect(heading).to_have_text("Your machine is on.", timeout=ARRIVAL_MS)
    await expect(mine.locator(".wakes li")).to_have_count(2, timeout=ARRIVAL_MS)
    assert (await operator.show(email))["state_since"] > before

    elsewhere = await browser.new_context(user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) Safari/605.1")
    phone = await elsewhere.new_page()
    await phone.goto(f"{dev.public}/auth/login?next=/env&login_hint={email}")
    await expect(phone.locator("body")).to_contain_text(email, timeout=ARRIVAL_MS)
    await mine.get_by_role("link", name="Sessions").click()
    await mine.get_by_role("button", name=re.compile("Sign out Safari on iPhone")).click()
    await expect(mine.get_by_text("That session is signed out.")).to_be_visible()
    await phone.goto(dev.public + "/")
    await expect(phone.get_by_role("link", name=re.compile("Sign up with Google"))).to_be_visible()
    await elsewhere.close()

    await mine.get_by_role("link", name="Plan", exact=True).click()
    await expect(heading).to_have_text("Your plan is Free")
    await mine.get_by_role("link", name="Data", exact=True).click()
    await mine.get_by_label(re.compile("to confirm")).fill(email)
    await mine.get_by_role("button", name="Delete everything").click()
    await expect(heading).to_have_text("Your account is being deleted")
    await tab.goto(dev.public + "/")
    await expect(tab.get_by_role("link", name=re.compile("Sign up with Google"))).to_be_visible()
    assert log.clean, log
