"""Every page is safe to show, small, and says nothing that a stranger wrote."""

import base64
import gzip
import hashlib
import json
import re

import pytest

from gateway.pages.render import Page, Pages, PlanCard, memory, seconds
from gateway.pages.view import STEP_NAMES, InstanceView
from gateway.pages.words import STEP_WORDS
from provisioner.instance import State
from tests.gateway.pages import account_scenes
from tests.gateway.pages.stage import PAGES, ready, view

EVIL = "</script><script>alert(1)</script><!--'\"&"


@pytest.fixture
def pages() -> Pages:
    return PAGES


@pytest.fixture(params=["landing", "privacy", "loading", "waiting", "in_line", "failure"])
def page(request: pytest.FixtureRequest, pages: Pages) -> Page:
    """Each page, given hostile text wherever it takes text."""
    hostile = view("boot", start="boot", failed=True, state=State.FAILED, error=EVIL)
    return {
        "landing": lambda: pages.landing(error=EVIL),
        "privacy": pages.privacy,
        "in_line": lambda: pages.in_line(email=EVIL, place=3),
        "loading": lambda: pages.loading(next="/" + EVIL, view=hostile, diagnostic_id=EVIL),
        "waiting": lambda: pages.waiting(view=hostile, diagnostic_id=EVIL),
        "failure": lambda: pages.failure(
            status=502, title=EVIL, words=EVIL, retry_url="/" + EVIL, diagnostic_id=EVIL, retry_after=5
        ),
    }[request.param]()


def directives(page: Page) -> dict[str, list[str]]:
    return {
        name: sources
        for name, *sources in (part.split() for part in page.headers["Content-Security-Policy"].split(";"))
    }


def inline(page: Page, element: str) -> list[str]:
    """Contents of the inline elements that a browser would apply or run; data blocks are neither."""
    return re.findall(rf"<{element}>(.*?)</{element}>", page.body.decode(), re.DOTALL)


def test_a_page_fits_into_15_kb(page: Page) -> None:
    assert len(gzip.compress(page.body)) <= 15_000


@pytest.mark.parametrize("name", sorted(account_scenes.scenes(PAGES)))
def test_an_account_page_fits_too_and_runs_no_script(pages: Pages, name: str) -> None:
    page = account_scenes.scenes(pages)[name]
    assert len(gzip.compress(page.body)) <= 15_000
    assert "<script" not in page.body.decode()
    assert "script-src" not in directives(page)


def test_text_from_outside_stays_text(page: Page) -> None:
    body = page.body.decode()
    assert "<script>alert" not in body
    assert (
        body.count("<script")
        == body.count("</script>")
        == len(inline(page, "script")) + body.count('<script type="application/json"')
    )


def test_only_our_own_style_and_script_may_run_and_nothing_may_be_fetched_from_elsewhere(page: Page) -> None:
    policy = directives(page)
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert policy["form-action"] == ["'self'"]
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        hashes = [
            f"'sha256-{base64.b64encode(hashlib.sha256(t.encode()).digest()).decode()}'" for t in inline(page, element)
        ]
        assert policy.get(directive, []) == hashes
    assert not re.search(r'\s(style|on\w+)="', page.body.decode()), "the policy would block it"
    assert set(policy.get("connect-src", [])) <= {"'self'"}


def test_a_page_is_never_kept_sniffed_or_told_of(page: Page) -> None:
    referrer = "same-origin" if 'method="post"' in page.body.decode() else "no-referrer"
    kept = {"Cache-Control", "X-Content-Type-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Content-Type"}
    assert {name: page.headers[name] for name in kept} == {
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": referrer,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Content-Type": "text/html; charset=utf-8",
    }


def test_the_loading_page_tells_machines_to_come_back(pages: Pages) -> None:
    """503 with Retry-After: no cache keeps it, and a client that reads headers knows when to ask again."""

    def retry_after(eta_s: float | None) -> tuple[int, str]:
        page = pages.loading(next="/", view=view("app", eta_s=eta_s))
        return page.status, page.headers["Retry-After"]

    assert [retry_after(eta) for eta in (None, 0.0, 0.4, 2.1, 500.0)] == [(503, n) for n in ("1", "1", "1", "3", "30")]
    assert pages.waiting(view=view("app")).status == 200


@pytest.mark.parametrize(
    ("asked", "linked"),
    [
        ("/notes?a=1&b=%20", "/notes?a=1&amp;b=%20"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nb", "/"),
        ("", "/"),
    ],
)
def test_no_page_links_to_another_host(pages: Pages, asked: str, linked: str) -> None:
    page = pages.failure(status=502, title="t", words="w", retry_url=asked, diagnostic_id=None)
    assert f'href="{linked}">Try again' in page.body.decode()
    assert f'id="open" href="{linked}"' in pages.loading(next=asked, view=view("app")).body.decode()


def test_landing_says_why_signing_in_failed() -> None:
    """…where a screen reader hears it, and as text."""
    body = Pages(plans=()).landing(error="You left <Google>.").body.decode()
    assert 'role="alert">You left &lt;Google&gt;.' in body


def test_the_landing_page_offers_what_it_is_given() -> None:
    bare = Pages(plans=()).landing(error=None).body.decode()
    full = (
        Pages(plans=[PlanCard(name="Solo", usd_per_month=7, has=["1.5 GB memory", "3 GB disk"])])
        .landing(error=None)
        .body.decode()
    )
    assert "Plans" not in bare
    for words in ("Solo", "$7", "1.5 GB memory", "3 GB disk"):
        assert words in full
    assert full.count('href="/auth/login?next=/"') == 3
    assert "Sign up with Google" in full
    assert "your Jarvis in 10 seconds" in full
    assert "signed out" in Pages(plans=()).landing(error=None, signed_out=True).body.decode()


def test_the_page_without_script_shows_the_whole_truth(pages: Pages) -> None:
    body = pages.loading(next="/", view=view("app", took=0.44, eta_s=0.6, attempt=2)).body.decode()
    assert '<noscript><meta http-equiv="refresh" content="2"></noscript>' in body
    for words in (
        "Your machine is on. Jarvis is getting ready. This is attempt 2.",
        "0.4 s",
        "usually 0.9 s",
        "about 1 s to go",
    ):
        assert words in body
    assert body.count('data-state="done"') == 3
    assert body.count('data-state="running"') == 1


@pytest.mark.parametrize(
    ("shown", "heading", "sentence"),
    [
        (view("resume"), "Waking your Jarvis", "Picking up exactly where you left off."),
        (view("boot", start="boot", state=State.PROVISIONING), "Setting up your Jarvis", "Switching your machine on."),
        (view(None), "Waking your Jarvis", "Getting your Jarvis ready."),
        (view("app", took=9, slow=2), "Waking your Jarvis", "This is slower than usual. Still trying."),
        (
            view("app", took=9, slow=2, attempt=2, attempts=5, error="No room."),
            "Waking your Jarvis",
            "This is slower than usual. Still trying. This is attempt 2 of 5. No room.",
        ),
        (view(None, place=7), "You have a place in line", "You are number 7 in line. Reloading keeps your place."),
        (view(None, place=1), "You have a place in line", "You are next in line. Reloading keeps your place."),
        (view("app", failed=True, state=State.FAILED), "We could not start", "We will try again by ourselves"),
        (view("app", failed=True, state=State.FAILED, error="No room."), "We could not start", "No room."),
        (
            view("boot", start="boot", failed=True, state=State.FAILED, error="No room.", place=2),
            "We could not start",
            "No room. You are number 2 in line. Reloading keeps your place.",
        ),
        (ready(), "Waking your Jarvis", "Ready. Opening your Jarvis."),
    ],
)  # fmt: skip
def test_one_plain_sentence_says_what_is_going_on(
    pages: Pages, shown: InstanceView, heading: str, sentence: str
) -> None:
    body = pages.loading(next="/", view=shown).body.decode()
    assert re.search(rf"<h1[^>]*>{heading}", body)
    assert re.search(rf'id="say"[^>]*>[^<]*{re.escape(sentence)}', body)


def test_the_open_page_is_given_the_same_view_as_the_json(pages: Pages) -> None:
    shown = view("app", took=0.4)
    data = re.search(r'id="data">(.*?)</script>', pages.loading(next="/", view=shown).body.decode())
    assert data
    assert json.loads(data[1])["view"] == shown.as_json()


def test_every_step_has_words() -> None:
    assert set(STEP_WORDS) == set(STEP_NAMES)


def test_numbers_are_written_as_people_read_them() -> None:
    assert [seconds(s) for s in (0, 0.44, 9.94, 9.96, 61.2)] == ["0.0 s", "0.4 s", "9.9 s", "10 s", "61 s"]
    assert [memory(mb) for mb in (256, 512, 1024, 1536, 2048)] == ["256 MB", "512 MB", "1 GB", "1.5 GB", "2 GB"]
