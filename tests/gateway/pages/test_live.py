"""The page that waits with you, in a real browser: it moves, it never goes back, it arrives by itself."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.pages.view import InstanceView
from provisioner.instance import State
from tests.gateway.pages.stage import SINCE, Stage, ready, view
from tests.parts.browser import PageLog

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEEP = "/notes/7?tab=a%20b#end"


async def states(tab: Page) -> list[str]:
    return list(await tab.locator("#steps li").evaluate_all("rows => rows.map(row => row.dataset.state)"))


async def told(tab: Page, stage: Stage, shown: InstanceView, sentence: str) -> None:
    """Tell the page and wait until it says so."""
    stage.show(shown)
    await expect(tab.locator("#say")).to_contain_text(sentence)


async def test_opening_a_bookmark_shows_moving_steps_and_ends_at_the_very_url(tab: Page, stage: Stage) -> None:
    """What I asked for opens by itself, with its query and its place in the page."""
    await tab.goto(DEEP)
    assert await states(tab) == ["running", "waiting", "waiting", "waiting", "waiting"]
    await told(tab, stage, view("resume"), "Picking up")
    assert await states(tab) == ["done", "running", "waiting", "waiting", "waiting"]
    await told(tab, stage, view("app"), "Jarvis is getting ready")
    assert await states(tab) == ["done", "done", "done", "running", "waiting"]
    stage.show(ready())
    await expect(tab.locator("h1")).to_have_text("Jarvis at /notes/7?tab=a%20b")
    assert tab.url == stage.url + DEEP
    assert stage.served == ["/notes/7?tab=a%20b"] * 2


async def test_time_runs_in_the_open_page(tab: Page, stage: Stage) -> None:
    """Between two pieces of news the running step's own time and the bar move on."""
    stage.view = view("app", took=0.4)
    await tab.goto("/")
    full = await tab.locator("#bar").evaluate("bar => bar.value")
    took = tab.locator("[data-state=running] .took")
    await expect(took).not_to_have_text("0.4 s")
    await tab.wait_for_function("full => document.getElementById('bar').value > full", arg=full)
    assert await tab.locator("[data-state=running] .usual").inner_text() == "usually 0.9 s"


async def test_late_and_doubled_news_take_nothing_back(tab: Page, stage: Stage) -> None:
    """A poll that answers late, or another replica that knows less, does not undo a tick nor shrink the bar."""
    stage.view = view("app", took=0.4)
    await tab.goto("/")
    await tab.evaluate(
        """() => { window.least = 0; window.shrunk = false; const bar = document.getElementById('bar');
        new MutationObserver(() => { if (bar.value < least) shrunk = true; least = bar.value })
          .observe(bar, { attributes: true }) }"""
    )
    before = await states(tab)
    stage.show(view("reserve"))
    stage.show(replace(view("network"), since=SINCE - timedelta(minutes=5)))
    await told(tab, stage, view("reserve", attempt=2), "attempt 2")
    assert await states(tab) == before
    await told(tab, stage, view("app", took=5, slow=2, attempt=2), "slower than usual")
    assert not await tab.evaluate("shrunk")


async def test_news_from_a_clock_that_runs_behind_still_counts(tab: Page, stage: Stage) -> None:
    """Two replicas never agree to the millisecond on when a wake began."""
    stage.view = view("reserve")
    await tab.goto("/")
    await told(tab, stage, replace(view("resume"), since=SINCE - timedelta(milliseconds=3)), "Picking up")
    assert (await states(tab))[0] == "done"


async def test_a_boot_may_take_the_place_of_a_resume(tab: Page, stage: Stage) -> None:
    stage.view = view("resume")
    await tab.goto("/")
    await told(tab, stage, view("boot", start="boot", attempt=2), "Switching your machine on. This is attempt 2.")
    assert await tab.locator("[data-state=running] .label").inner_text() == "Starting your machine"


async def test_a_tab_in_the_background_tells_when_it_is_ready(tab: Page, stage: Stage) -> None:
    """Title and icon change as soon as it is ready, before the app has answered."""
    await tab.goto("/")
    before = await tab.evaluate(
        """() => { const look = () => [document.title, document.getElementById('icon').href];
        addEventListener('pagehide', () => sessionStorage.setItem('left', JSON.stringify(look()))); return look() }"""
    )
    stage.show(ready())
    await expect(tab.locator("h1")).to_have_text("Jarvis at /")
    title, icon = json.loads(await tab.evaluate("sessionStorage.getItem('left')"))
    assert (before[0], title) == ("Waking your Jarvis", "Ready: your Jarvis")
    assert icon != before[1]


async def test_when_the_stream_is_cut_the_page_asks_instead(tab: Page, stage: Stage) -> None:
    """A middlebox that kills event streams costs nothing but a second."""
    await tab.goto(DEEP)
    await told(tab, stage, view("resume"), "Picking up")
    stage.cut()
    stage.view = view("app")
    await expect(tab.locator("#say")).to_contain_text("Jarvis is getting ready")
    assert stage.polls > 0
    stage.view = ready()
    await expect(tab.locator("h1")).to_contain_text("Jarvis at /notes")


async def test_a_stream_that_says_nothing_is_not_believed(tab: Page, stage: Stage) -> None:
    """A proxy that buffers the stream leaves it open and silent; then the page asks."""
    await tab.goto("/")
    await told(tab, stage, view("resume"), "Picking up")
    stage.view = ready()  # nobody is told
    await expect(tab.locator("h1")).to_have_text("Jarvis at /")


async def test_without_script_the_page_looks_again_by_itself(browser: Browser, stage: Stage) -> None:
    context = await browser.new_context(base_url=stage.url, java_script_enabled=False)
    tab = await context.new_page()
    log = PageLog.of(tab, stage.url)
    await tab.goto("/notes?x=1")
    stage.view = ready()
    await expect(tab.locator("h1")).to_have_text("Jarvis at /notes?x=1")
    assert log.clean, log
    assert log.refused == [(503, "/notes")]


async def test_a_page_that_keeps_coming_back_stops_and_offers_a_button(tab: Page, stage: Stage) -> None:
    """Ready, and yet the loading page again: after three tries I decide, not a loop."""
    stage.never_opens = True
    stage.view = ready()
    await tab.goto("/notes")
    button = tab.get_by_role("link", name="Open Jarvis")
    await expect(button).to_be_visible()
    assert len(stage.served) == 4
    await expect(tab.locator("#say")).to_contain_text("this page came back")
    stage.never_opens = False
    await button.click()
    await expect(tab.locator("h1")).to_have_text("Jarvis at /notes")


async def test_i_may_stop_waiting_and_go_on_later(tab: Page, stage: Stage) -> None:
    await tab.goto("/notes")
    await told(tab, stage, view("resume"), "Picking up")
    await tab.get_by_role("button", name="Stop waiting").click()
    await expect(tab.locator("#say")).to_contain_text("stopped waiting")
    go_on = tab.get_by_role("link", name="Go on waiting")
    await expect(go_on).to_be_focused()
    stage.show(ready())
    assert stage.served == ["/notes"]
    await go_on.click()
    await expect(tab.locator("h1")).to_have_text("Jarvis at /notes")


async def test_a_failure_says_why_opens_the_log_and_recovers_by_itself(tab: Page, stage: Stage) -> None:
    await tab.goto("/")
    broken = view("network", failed=True, state=State.FAILED, error="Your machine did not answer.")
    await told(tab, stage, broken, "Your machine did not answer.")
    await expect(tab.get_by_role("button", name="Try again now")).to_be_visible()
    await expect(tab.locator("#lines")).to_contain_text("Connecting: failed")
    await told(tab, stage, view("network", attempt=2, state=State.PROVISIONING), "This is attempt 2.")
    assert (await states(tab))[2] == "running"
    await expect(tab.get_by_role("button", name="Try again now")).to_be_hidden()


async def test_i_may_ask_for_another_attempt_and_come_back_to_what_i_wanted(tab: Page, stage: Stage) -> None:
    """The button asks for one attempt, says where it comes from, and leads back to the very URL."""
    stage.view = view("network", failed=True, state=State.FAILED, error="Your machine did not answer.")
    await tab.goto(DEEP)
    await tab.get_by_role("button", name="Try again now").click()
    await expect(tab.locator("#say")).to_contain_text("attempt 2")
    assert tab.url == stage.url + DEEP
    assert stage.retried == [stage.url]
    assert stage.served == ["/notes/7?tab=a%20b"] * 2


async def test_a_wake_that_was_given_up_is_asked_for_again_and_in_the_end_i_decide(tab: Page, stage: Stage) -> None:
    """An open page says that it did not work, asks anew by itself, and after three times leaves it to me."""
    stage.view = view(None, state=State.STOPPED)
    await tab.goto("/notes")
    button = tab.get_by_role("link", name="Try again now")
    await expect(button).to_be_visible(timeout=20_000)
    assert stage.served == ["/notes"] * 4
    await expect(tab.locator("#say")).to_contain_text("did not come up")
    stage.view = ready()
    await button.click()
    await expect(tab.locator("h1")).to_have_text("Jarvis at /notes")


async def test_the_line_moves(tab: Page, stage: Stage) -> None:
    """My place counts down, and what I am told about time is honest: nothing when nothing is known."""
    stage.view = view(None, place=12, eta_s=150, state=State.PROVISIONING)
    await tab.goto("/welcome/waiting")
    await expect(tab.locator("#eta")).to_have_text("about 3 min to go")
    await told(tab, stage, view(None, place=1, state=State.PROVISIONING), "You are next in line.")
    await expect(tab.locator("#eta")).to_have_text("")
    await told(tab, stage, view("boot", start="boot", state=State.PROVISIONING), "Switching your machine on.")
    await expect(tab.locator("h1")).to_have_text("Setting up your Jarvis")
    stage.show(ready())
    await expect(tab.locator("h1")).to_have_text("Jarvis at /")


async def test_signed_out_in_another_tab_leads_to_the_landing_page(tab: Page, stage: Stage) -> None:
    await tab.goto("/notes")
    stage.signed_out = True
    stage.cut()
    await expect(tab.get_by_role("alert")).to_contain_text("You left Google")


async def test_who_waits_may_sign_out(tab: Page, stage: Stage) -> None:
    """The POST says where it comes from, so that signing out can refuse other sites."""
    await tab.goto("/welcome/waiting")
    await tab.get_by_role("button", name="Sign out").click()
    await expect(tab.get_by_role("alert")).to_contain_text("You left Google")


async def test_the_diagnostic_id_is_copied(tab: Page, stage: Stage) -> None:
    await tab.goto("/")
    await tab.get_by_role("button", name="Copy").click()
    await expect(tab.get_by_role("button", name="Copied")).to_be_visible()
    assert await tab.evaluate("navigator.clipboard.readText()") == await tab.locator("#diagnostic").inner_text()
