"""The dashboard in a real browser: what an operator at 3 a.m. sees, and mends with one click."""

import pytest
from playwright.async_api import Browser, Page

from gateway.session.visits import Visits
from provisioner.images import RolloutEvent
from provisioner.instance import State
from tests.gateway.dashboard.pictures import paths
from tests.gateway.dashboard.stage import Stage
from tests.gateway.pages.test_access import AUDIT, FOCUS
from tests.parts.browser import PageLog

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_operator_finds_who_is_stuck_and_mends_it_with_one_click(stage: Stage, tab: Page) -> None:
    """And sees it leave the list by itself, without loading the page again."""
    row = tab.locator(".needs li", has_text="niklaus@example.com")
    assert "Stuck in waking" in await row.inner_text()
    assert "/day" in await row.inner_text()
    await row.get_by_role("button", name="Bring it up").click()
    await tab.wait_for_selector(".said:has-text('it is active now')")
    await row.wait_for(state="detached")
    found = await stage.back.store.find(stage.stuck.user_id)
    assert found is not None
    assert found.state is State.ACTIVE
    entries = await stage.back.store.latest_audit(user_id=stage.stuck.user_id, limit=50)
    assert ("operator:admin", "admin_asked") in [(entry.actor, entry.action) for entry in entries]


async def test_the_front_page_says_what_is_so(stage: Stage, tab: Page) -> None:
    strip = await tab.locator(".strip").inner_text()
    for word in ("Users now", "Awake", "Suspended", "Stopped", "Failed", "Provision, p95", "Wake, p95", "Cost today"):
        assert word in strip
    needs = await tab.locator(".needs").inner_text()
    assert "tony@example.com" in needs  # given up
    assert "margaret@example.com" in needs  # has not slept for a day
    assert await tab.locator("svg.chart").count() == 4
    assert "CloudBroken" in await tab.locator("section[aria-label='Fly errors']").inner_text()
    assert "NoCapacity" in await tab.locator("section[aria-label=Failures]").text_content() or ""


async def test_what_happens_shows_without_loading_again(stage: Stage, tab: Page) -> None:
    told = tab.locator(".log li:has-text('suspending → suspended')")
    before = await told.count()
    await stage.back.lifecycle.suspend(stage.ada.user_id, actor="test")
    await told.nth(before).wait_for()


async def test_three_truths_side_by_side_and_where_they_differ(stage: Stage, tab: Page) -> None:
    await tab.goto(f"/instances/{stage.ada.user_id}")
    for heading in ("Database", "Replicas", "Fly"):
        assert await tab.get_by_role("heading", name=heading, exact=True).count() == 1
    assert await tab.locator(".note.bad").count() == 0
    await stage.back.pool.execute("update user_instances set state = 'suspended' where user_id = $1", stage.ada.user_id)
    await tab.reload()
    assert "The record says suspended, Fly says started." in await tab.locator(".note.bad").first.inner_text()


async def test_many_at_once_are_told_first_and_done_only_then(stage: Stage, tab: Page) -> None:
    await tab.goto("/instances?q=ada%40")
    await tab.check(".pick")
    await tab.get_by_role("button", name="Suspend…").click()
    dialog = tab.get_by_role("dialog")
    assert "put to sleep; open requests are cut" in await dialog.inner_text()
    assert await tab.evaluate("document.activeElement.id") == "ask-no"  # a slip of the finger does nothing
    found = await stage.back.store.find(stage.ada.user_id)
    assert found is not None
    assert found.state is State.ACTIVE
    await dialog.get_by_role("button", name="Suspend").click()
    await dialog.get_by_text("All 1 done.").wait_for()
    found = await stage.back.store.find(stage.ada.user_id)
    assert found is not None
    assert found.state is State.SUSPENDED
    await dialog.get_by_role("button", name="Close").click()


async def test_a_switch_is_held_and_every_page_says_so(stage: Stage, tab: Page) -> None:
    await tab.goto("/switches")
    form = tab.locator("form[data-flip=pause_sweeps]")
    await form.locator("input").fill("looking at a bug")
    await form.get_by_role("button", name="Hold back").click()
    await tab.locator(".note.bad", has_text="looking at a bug").wait_for()
    await tab.goto("/instances")
    assert "Sleep is held back" in await tab.locator(".note.bad").inner_text()


async def test_a_rollout_is_paused_and_gone_on_with_after_a_word(stage: Stage, tab: Page) -> None:
    await tab.goto("/rollouts")
    newest = tab.locator("[data-fresh=newest]")
    assert await tab.locator(".stages [aria-current=step]").inner_text() == "50 %\nnow"
    assert await newest.locator(".tally").inner_text() != ""
    await newest.get_by_role("button", name="Pause").click()
    await newest.get_by_text("paused", exact=True).wait_for()
    await newest.get_by_role("button", name="Resume").click()
    dialog = tab.get_by_role("dialog")
    await dialog.get_by_role("button", name="Leave it").click()
    assert await stage.back.pool.fetchval("select count(*) from gateway.rollouts where state = 'running'") == 0
    await newest.get_by_role("button", name="Resume").click()
    await dialog.get_by_role("button", name="Resume").click()
    await newest.get_by_text("running", exact=True).wait_for()


async def test_a_rollout_that_halts_shows_by_itself(stage: Stage, tab: Page) -> None:
    await tab.goto("/rollouts")
    rollouts = stage.back.parts.rollouts
    running = await rollouts.newest_rollout()
    assert running is not None
    await rollouts.move_rollout(running, RolloutEvent.HALT, actor="rollout", why="2 of 5 did not come up")
    await tab.get_by_text("2 of 5 did not come up.").wait_for()
    await tab.goto("/")
    need = tab.locator(".needs li", has_text="The rollout halted at 50 %")
    assert await need.get_by_role("button", name="Take it back").count() == 1
    halted = await rollouts.newest_rollout()
    assert halted is not None
    assert await rollouts.move_rollout(halted, RolloutEvent.RESUME, actor="test")


async def test_a_visit_is_granted_once_for_a_reason_and_ended(stage: Stage, tab: Page) -> None:
    """The link is in the dialog and nowhere else, and the list shows the visit by itself."""
    await tab.goto(f"/instances/{stage.ada.user_id}")
    await tab.get_by_label("Why").fill("looking why notes do not save")
    await tab.get_by_role("button", name="Get a link").click()
    dialog = tab.get_by_role("dialog")
    link = await dialog.get_by_role("link", name="Open the Machine").get_attribute("href")
    assert link is not None
    assert link.startswith("https://my-jarvis.test/auth/visit?ticket=")
    assert await dialog.get_by_label("The link").input_value() == link
    await dialog.get_by_role("button", name="Close").click()
    await tab.goto("/visits")
    ticket = link.partition("=")[2]
    assert ticket not in await tab.content()
    row = tab.locator("[data-fresh=running] li", has_text="looking why notes do not save")
    assert "Not opened yet" in await row.inner_text()
    assert await Visits(stage.back.pool, stage.back.parts.clock).open(ticket, b"o" * 32)
    await row.get_by_text("ends in").wait_for()
    await row.get_by_role("button", name="End it").click()
    await dialog.get_by_role("button", name="End it").click()
    await row.wait_for(state="detached")
    over = tab.locator("[data-fresh=past] tr", has_text="looking why notes do not save")
    assert "operator:admin" in await over.inner_text()


async def test_everybody_can_read_and_use_every_page(stage: Stage, browser: Browser) -> None:
    """Contrast, landmarks, headings, names, targets, no sideways scrolling from 320 px; and focus that is seen."""
    for scheme in ("light", "dark"):
        context = await browser.new_context(base_url=stage.url, color_scheme=scheme)  # type: ignore[arg-type]
        page = await context.new_page()
        log = PageLog.of(page, stage.url)
        await page.goto("/sign-in")
        await page.fill("#token", stage.token)
        await page.click("button")
        pages = {**paths(stage), "refused": "/instances/nobody", "not there": "/nothing"}
        for name, path in pages.items():
            await page.goto(path)
            for width in (1280, 390, 320):
                await page.set_viewport_size({"width": width, "height": 900})
                assert await page.evaluate(AUDIT) == [], (name, width, scheme)
            seen = []
            for _ in range(8):
                await page.keyboard.press("Tab")
                focus = await page.evaluate(FOCUS)
                if focus is None:
                    break  # all round
                assert focus["ring"] == "solid", (name, focus)
                seen.append(focus["at"])
            assert seen, name
            assert seen == sorted(seen), name  # in the order in which it is read
        assert log.clean, log
        await context.close()
