"""Every sentence that the pages say about a wake, in one place and in plain words."""

import math
from dataclasses import dataclass
from typing import Final

from gateway.pages.view import InstanceView, StepState, slow
from provisioner.instance import State


@dataclass(frozen=True, slots=True)
class StepWords:
    """How a step is called in the list, and the sentence while it runs."""

    label: str
    now: str


STEP_WORDS: Final = {
    "reserve": StepWords("Reserving your machine", "Finding a place for your Jarvis."),
    "boot": StepWords("Starting your machine", "Switching your machine on."),
    "resume": StepWords("Waking your machine", "Picking up exactly where you left off."),
    "network": StepWords("Connecting", "Making a private connection to your machine."),
    "app": StepWords("Waking Jarvis", "Your machine is on. Jarvis is getting ready."),
    "open": StepWords("Opening", "Everything is up. Opening your Jarvis."),
}

SAY: Final = {
    "begin": "Getting your Jarvis ready.",
    "slow": "This is slower than usual. Still trying.",
    "attempt": "This is attempt {n}.",
    "attempt_of": "This is attempt {n} of {of}.",
    "place": "You are number {n} in line. Reloading keeps your place.",
    "next": "You are next in line. Reloading keeps your place.",
    "ready": "Ready. Opening your Jarvis.",
    "failed": "That did not work. We will try again by ourselves.",
    "lost": "The connection to us was lost. Trying again.",
    "stopped": "This page has stopped waiting. Your machine carries on without it.",
    "loop": "Your Jarvis says it is ready, but this page came back. Open it yourself when you like.",
    "again": "Try again now",
    "asleep": "Your machine did not come up, though we tried several times.",
    "go_on": "Go on waiting",
    "open": "Open Jarvis",
    "copied": "Copied",
    "ready_title": "Ready: your Jarvis",
}
"""The other sentences; the open page uses the same ones. `{n}` and `{of}` are numbers."""

HEADINGS: Final = {
    "queued": "You have a place in line",
    "failed": "We could not start your Jarvis yet",
    "first": "Setting up your Jarvis",
    "wake": "Waking your Jarvis",
}

STEP_STATE_WORDS: Final = {"waiting": "to do", "running": "in progress", "done": "done", "failed": "failed"}
"""What a screen reader hears beside a step, where the eye sees a ring, a tick or a cross."""


def heading(view: InstanceView) -> str:
    """What the page is about, in a few words. `rules.js` says the same in the open page."""
    if view.state is State.FAILED:
        return HEADINGS["failed"]
    if view.place is not None:
        return HEADINGS["queued"]
    return HEADINGS["first" if view.state is State.PROVISIONING else "wake"]


def to_go(view: InstanceView) -> str:
    """How long it will still take, or when we try again; nothing if we cannot say. `rules.js` says the same."""
    if not view.eta_s or view.ready or slow(view.steps):
        return ""
    time = f"{math.ceil(view.eta_s)} s" if view.eta_s < 90 else f"{math.ceil(view.eta_s / 60)} min"
    return f"next attempt in about {time}" if view.state is State.FAILED else f"about {time} to go"


def sentence(view: InstanceView) -> str:
    """The one line on what is going on. `rules.js` says the same in the open page."""
    if view.ready:
        return SAY["ready"]
    place = "" if view.place is None else SAY["next" if view.place <= 1 else "place"].format(n=view.place)
    if view.state is State.FAILED or any(s.state is StepState.FAILED for s in view.steps):
        return f"{view.error or SAY['failed']} {place}".strip()
    if place:
        return place
    running = [s for s in view.steps if s.state is StepState.RUNNING]
    said = STEP_WORDS[running[-1].name].now if running else SAY["begin"]
    if slow(view.steps):
        said = SAY["slow"]
    return f"{said} {_attempt(view)} {view.error or ''}".strip() if view.attempt > 1 else said


def _attempt(view: InstanceView) -> str:
    of = view.attempts if view.attempts is not None and view.attempts >= view.attempt else None
    return SAY["attempt" if of is None else "attempt_of"].format(n=view.attempt, of=of)
