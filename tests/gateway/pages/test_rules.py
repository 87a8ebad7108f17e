"""The rules of the open page are the rules of the server, and steps only go forward."""

import random
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from playwright.async_api import Page

from gateway.pages.render import seconds
from gateway.pages.view import InstanceView, StepState, StepView, bar, slow
from gateway.pages.words import HEADINGS, SAY, STEP_WORDS, heading, sentence, to_go
from provisioner.instance import State
from tests.gateway.pages.stage import SINCE, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

RANK = {"waiting": 0, "running": 1, "failed": 2, "done": 3}


def some_view(chance: random.Random) -> InstanceView:
    """Any view at all, also such as no gateway would send."""
    names = ("reserve", chance.choice(("boot", "resume")), "network", "app", "open")
    steps = [
        StepView(
            name=name,
            state=chance.choice(list(StepState)),
            took_s=chance.choice((None, round(chance.uniform(0, 20), 3) + 0.0004)),
            usual_s=chance.choice((None, round(chance.uniform(0, 9), 3))),
            slow_s=chance.choice((None, round(chance.uniform(0, 18), 3))),
        )
        for name in names
    ]
    return InstanceView(
        state=chance.choice(list(State)),
        steps=tuple(steps),
        since=SINCE + timedelta(seconds=chance.randrange(3)),
        eta_s=chance.choice((None, 0.0, chance.uniform(0, 300))),
        attempt=chance.randrange(1, 4),
        attempts=chance.choice((None, 2, 5)),
        place=chance.choice((None, None, None, 1, 5)),
        error=chance.choice((None, "No room.")),
    )


def as_heard(view: InstanceView) -> InstanceView:
    """`view` with the times that the page gets, rounded to milliseconds."""
    told = view.as_json()
    steps = [
        replace(s, took_s=t["took_s"], usual_s=t["usual_s"], slow_s=t["slow_s"])
        for s, t in zip(view.steps, told["steps"], strict=True)
    ]
    return replace(view, steps=tuple(steps), eta_s=told["eta_s"])


async def test_page_and_server_say_the_same(tab: Page, stage: Stage) -> None:
    """Reloading changes neither the sentence nor the bar."""
    chance = random.Random(4)
    views = [as_heard(some_view(chance)) for _ in range(500)]
    words = {name: [w.label, w.now] for name, w in STEP_WORDS.items()}
    await tab.goto("/")
    said = await tab.evaluate(
        """([views, say, words, headings]) => views.map(view => [
            bar(view.steps, 0), slow(view.steps), sentence(view, say, words), heading(view, headings), toGo(view)])""",
        [[v.as_json() for v in views], SAY, words, HEADINGS],
    )
    for v, (full, *rest) in zip(views, said, strict=True):
        assert abs(full - bar(v.steps)) < 1e-9
        assert rest == [slow(v.steps), sentence(v), heading(v), to_go(v)]
    times = [0, 0.04, 0.06, 1.23, 9.94, 9.96, 12.4, 100]
    assert await tab.evaluate("times => times.map(seconds)", times) == [seconds(t) for t in times]


async def test_whatever_is_heard_no_step_goes_back(tab: Page, stage: Stage) -> None:
    """Only a new attempt may clear a failed step; nothing else is ever undone."""
    chance = random.Random(5)
    heard = [[some_view(chance).as_json() for _ in range(12)] for _ in range(100)]
    await tab.goto("/")
    stories = await tab.evaluate(
        """heard => heard.map(([first, ...news]) => {
            const shown = [first]; for (const told of news) shown.push(forward(shown.at(-1), told)); return shown })""",
        heard,
    )
    for news, story in zip(heard, stories, strict=True):
        for told, (old, new) in zip(news[1:], pairwise(story), strict=True):
            fresh = told["attempt"] > old["attempt"] or told["since"] > old["since"]
            for was, now in zip(old["steps"], new["steps"], strict=True):
                assert RANK[now["state"]] >= RANK[was["state"]] or (was["state"] == "failed" and fresh)
            if told["ready"]:
                assert {s["state"] for s in new["steps"]} == {"done"}
