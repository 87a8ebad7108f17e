"""Readable, reachable by keyboard, understood by a screen reader: on a phone and a desktop, light and dark."""

from typing import Literal

import pytest
from playwright.async_api import Browser, Page

from gateway.pages.view import InstanceView
from tests.gateway.pages import pictures
from tests.gateway.pages.stage import Stage
from tests.parts.browser import PageLog

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCENES = (
    "landing",
    "landing-error",
    "landing-signed-out",
    "loading",
    "loading-first",
    "loading-queued",
    "loading-slow",
    "loading-failed",
    "waiting-queued",
    "waiting-failed",
    "failure",
    "failure-404",
    "failure-suspended",
    "visit",
    "privacy",
    "in-line",
    "account",
    "account-asleep",
    "account-new",
    "account-plan",
    "account-sessions",
    "account-tokens",
    "account-visits",
    "account-data",
    "account-data-stale",
    "account-goodbye",
    "account-entrance",
)

FEW_TEXTS = {"account-goodbye": 2}
"""Of pages that say less than the rest: a title and a paragraph."""
AUDIT = """(least) => {
  const found = [];
  const rgb = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return { c: n.slice(0, 3), a: n[3] ?? 1 } };
  const light = (c) => { const [r, g, b] = c.map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b };
  const ground = (node) => { for (; node; node = node.parentElement) {
    const { c, a } = rgb(getComputedStyle(node).backgroundColor); if (a > .99) return c } return [255, 255, 255] };
  const seen = (node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const say = (node) => node.outerHTML.slice(0, 90);

  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  for (let text; text = walk.nextNode();) {
    const node = text.parentElement;
    if (!text.data.trim() || !seen(node) || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(node.tagName)) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color).c), light(ground(node))].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    texts += 1;
    if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(2)}: ${say(node)}`);
  }
  if (texts < (least ?? 4)) found.push(`only ${texts} texts looked at`);

  const count = (selector) => document.querySelectorAll(selector).length;
  if (count("main") !== 1) found.push("not one main");
  if (count("h1") !== 1) found.push("not one h1");
  if (document.documentElement.lang !== "en") found.push("no language");
  if (!document.title) found.push("no title");
  const levels = [...document.querySelectorAll("h1,h2,h3,h4")].map(h => +h.tagName[1]);
  levels.reduce((old, now) => { if (now > old + 1) found.push(`heading ${old} to ${now}`); return now }, 0);
  const ids = [...document.querySelectorAll("[id]")].map(node => node.id);
  if (new Set(ids).size !== ids.length) found.push("an id is used twice");
  for (const image of document.querySelectorAll("img"))
    if (!image.hasAttribute("alt")) found.push(`no alternative: ${say(image)}`);
  for (const name of ["aria-labelledby", "aria-describedby", "for"])
    for (const node of document.querySelectorAll(`[${name}]`))
      if (!document.getElementById(node.getAttribute(name))) found.push(`${name} leads nowhere: ${say(node)}`);
  for (const node of document.body.children)
    if (seen(node) && node.textContent.trim()
        && !node.matches("header, main, nav, footer, aside, dialog, [role], .skip, script"))
      found.push(`in no landmark: ${say(node)}`);
  for (const nav of document.querySelectorAll("nav"))
    if (!nav.getAttribute("aria-label")) found.push(`unlabelled: ${say(nav)}`);
  for (const cell of document.querySelectorAll("th"))
    if (!cell.scope) found.push(`a head of what: ${say(cell)}`);
  for (const svg of document.querySelectorAll("svg"))
    if (!svg.closest("[aria-hidden=true]") && !svg.getAttribute("aria-label")) found.push(`unlabelled: ${say(svg)}`);
  for (const node of document.querySelectorAll(
    "a, button, summary, input:not([type=hidden]), select, textarea, dialog[open], progress, [role=alert], section")) {
    if (!seen(node)) continue;
    const by = document.getElementById(node.getAttribute("aria-labelledby"));
    const label = node.labels && node.labels[0];
    const name = node.getAttribute("aria-label") || (by && by.textContent) || (label && label.textContent)
      || (node.matches("input, select, textarea") ? "" : node.textContent);
    if (!name.trim()) found.push(`no name: ${say(node)}`);
    if (!["A", "BUTTON", "SUMMARY"].includes(node.tagName)) continue;
    const box = node.getBoundingClientRect();
    if (box.height < 20 || box.width < 24) found.push(`small target ${box.width}x${box.height}: ${say(node)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) found.push(`wider than the window: ${innerWidth}`);
  return found;
}"""

FOCUS = """() => { const node = document.activeElement; if (node === document.body) return null;
  return { at: [...document.querySelectorAll("*")].indexOf(node), ring: getComputedStyle(node).outlineStyle } }"""


async def open_scene(tab: Page, stage: Stage, name: str) -> None:
    scene = pictures.scenes(stage)[name]
    if isinstance(scene, InstanceView):
        stage.view = scene
    else:
        stage.page = scene
    await tab.goto(pictures.path_of(name))
    if isinstance(scene, InstanceView):
        await tab.wait_for_selector("#lines li", state="attached")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", SCENES)
async def test_everybody_can_read_and_use_the_page(
    browser: Browser, stage: Stage, name: str, scheme: Literal["light", "dark"]
) -> None:
    """Contrast of at least 4.5, landmarks, headings, names, ids, targets, and nothing to scroll sideways at 320 px."""
    context = await browser.new_context(
        base_url=stage.url, color_scheme=scheme, viewport={"width": 1280, "height": 800}
    )
    tab = await context.new_page()
    log = PageLog.of(tab, stage.url)
    await open_scene(tab, stage, name)
    for width in (1280, 390, 320):
        await tab.set_viewport_size({"width": width, "height": 800})
        assert await tab.evaluate(AUDIT, FEW_TEXTS.get(name)) == []
    assert log.clean, log


@pytest.mark.parametrize("name", SCENES)
async def test_the_keyboard_reaches_everything_in_reading_order(tab: Page, stage: Stage, name: str) -> None:
    await open_scene(tab, stage, name)
    wanted = await tab.evaluate(
        "[...document.querySelectorAll('a, button, summary, input:not([type=hidden]), select')]"
        ".filter(node => node.checkVisibility()).length"
    )
    stops = []
    for _ in range(wanted):
        await tab.keyboard.press("Tab")
        stops.append(await tab.evaluate(FOCUS))
    assert all(stops), f"{wanted} to reach, {len([s for s in stops if s])} reached"
    assert [s["at"] for s in stops] == sorted({s["at"] for s in stops})
    assert {s["ring"] for s in stops} <= {"solid"}  # there may be nothing to reach


async def test_a_screen_reader_hears_sentences_and_no_ticking(tab: Page, stage: Stage) -> None:
    """The one live region is the sentence; the running seconds are outside of it."""
    await open_scene(tab, stage, "loading")
    live = tab.locator("[aria-live], [role=status], [role=alert]")
    assert await live.evaluate_all("nodes => nodes.map(node => node.id)") == ["say"]
    assert await tab.locator("#steps li").all_inner_texts()
    assert await tab.locator("#steps .hear").all_inner_texts() == ["done", "done", "done", "in progress", "to do"]


async def test_who_asked_for_less_motion_gets_none(browser: Browser, stage: Stage) -> None:
    still = await browser.new_context(base_url=stage.url, reduced_motion="reduce")
    tab = await still.new_page()
    await open_scene(tab, stage, "loading")
    assert await tab.evaluate("document.getAnimations().length") == 0
