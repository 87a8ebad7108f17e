"""The main job as a person does it: a real Chromium in front of the whole system, with the default App behind."""

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.async_api import Browser, Page, expect

from tests.journeys.visitor import operator_of
from tests.parts.browser import PageLog, browser, chromium
from tests.parts.system import System, dev_system

__all__ = ["browser", "chromium"]  # fixtures

ARRIVAL_MS = 30_000


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """`my-jarvis dev` as a stranger starts it: the default App."""
    folder: Path = tmp_path_factory.mktemp("chat")
    with dev_system(folder / "data", app_command=None) as system:
        yield system


async def choose(page: Page, email: str) -> None:
    """At the account chooser, sign in as `email`."""
    await page.get_by_label("Use another account").fill(email)
    await page.get_by_role("button", name="Continue").click()


async def say(page: Page, words: str) -> None:
    await page.get_by_label("Message to Jarvis").fill(words)
    await page.keyboard.press("Enter")


async def test_sign_up_chat_sign_out_and_nothing_is_left_for_the_next(browser: Browser, chat: System) -> None:
    """Ada signs up, watches her machine come up, talks to it and leaves; Grace, on the same computer, sees nothing."""
    context = await browser.new_context()
    page = await context.new_page()
    steps: list[str] = []
    page.on("response", lambda answer: steps.append(f"{answer.status} {answer.url.removeprefix(chat.public)}"))
    await page.goto(chat.public)
    log = PageLog.of(page, chat.public)
    assert log.clean
    ada, grace = (f"{name}-{uuid4().hex[:6]}@example.com" for name in ("ada", "grace"))
    await page.get_by_role("link", name=re.compile("Sign up with Google")).first.click()
    await choose(page, ada)
    box = page.get_by_label("Message to Jarvis")
    await expect(box).to_be_visible(timeout=ARRIVAL_MS)
    assert "503 /" in steps, "the loading page was shown while the Machine was made"
    assert "200 /_gateway/events" in steps, "its steps moved by themselves"
    await expect(page.get_by_text(ada)).to_be_visible()
    await say(page, "the secret of Ada")
    conversation = page.get_by_role("log")
    await expect(conversation).to_contain_text("so all I can do is repeat: the secret of Ada", timeout=10_000)

    await page.reload()
    await expect(conversation).to_contain_text("the secret of Ada")  # kept on the volume

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("link", name=re.compile("Sign up with Google")).first).to_be_visible()
    await expect(page.get_by_text("signed out")).to_be_visible()

    await page.get_by_role("link", name=re.compile("Sign in")).first.click()
    await choose(page, grace)
    await expect(box).to_be_visible(timeout=ARRIVAL_MS)
    await expect(page.get_by_text(grace)).to_be_visible()
    assert "Ada" not in await page.content()
    assert ada not in await page.content()
    await context.close()


async def test_a_tab_that_slept_wakes_its_machine_and_goes_on(browser: Browser, chat: System) -> None:
    """After lunch: the machine was suspended meanwhile; the next message wakes it, and the conversation is there."""
    context = await browser.new_context()
    page = await context.new_page()
    email = f"alan-{uuid4().hex[:6]}@example.com"
    await page.goto(f"{chat.public}/auth/login?login_hint={email}")
    await expect(page.get_by_label("Message to Jarvis")).to_be_visible(timeout=ARRIVAL_MS)
    await say(page, "before lunch")
    conversation = page.get_by_role("log")
    await expect(conversation).to_contain_text("repeat: before lunch", timeout=10_000)
    async with operator_of(chat) as operator:
        assert (await operator.act(email, "suspend"))["state"] == "suspended"
    await say(page, "after lunch")
    await expect(conversation).to_contain_text("repeat: after lunch", timeout=20_000)
    await context.close()


async def test_a_deep_link_survives_sign_in_and_loading(browser: Browser, chat: System) -> None:
    """A bookmark opens what it names, even if one has to sign in and wait first."""
    context = await browser.new_context()
    page = await context.new_page()
    await page.goto(f"{chat.public}/api/whoami?from=bookmark")
    email = f"deep-{uuid4().hex[:6]}@example.com"
    await choose(page, email)
    await expect(page.locator("body")).to_contain_text(email, timeout=ARRIVAL_MS)
    assert page.url == f"{chat.public}/api/whoami?from=bookmark"
    await context.close()
