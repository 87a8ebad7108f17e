"""The dashboard in a real browser: what an operator at 3 a.m. sees, and mends with one click."""

import pytest
from playwright.async_api import Browser, Page

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
    assert await tab.locator("svg.chart").count() == 3
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


async def test_everybody_can_read_and_use_every_page(stage: Stage, browser: Browser) -> None:
    """Contrast, landmarks, headings, names, targets, no sideways scrolling from 320 px; and focus that is seen."""
    for scheme in ("light", "dark"):
        context = await browser.new_context(base_url=stage.url, color_scheme=scheme)  # type: ignore[arg-type]
        page = await context.new_page()
        log = PageLog.of(page, stage.url)
        await page.goto("/sign-in")
        await page.fill("#token", stage.token)
        await page.click("button")
        for name, path in paths(stage).items():
            await page.goto(path)
            for width in (1280, 390, 320):
                await page.set_viewport_size({"width": width, "height": 900})
                assert await page.evaluate(AUDIT) == [], (name, width, scheme)
        seen = []
        await page.goto("/instances")
        for _ in range(12):
            await page.keyboard.press("Tab")
            focus = await page.evaluate(FOCUS)
            assert focus, "focus was lost"
            seen.append(focus["at"])
        assert seen == sorted(seen)  # in the order in which it is read
        assert log.clean, log
        await context.close()
