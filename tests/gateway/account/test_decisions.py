"""What the account pages decide without asking anybody: hosts, fetches, form tokens, devices, times."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.account.csrf import FormTokens
from gateway.account.device import UNKNOWN, device
from gateway.account.eraser import FIRST_PAUSE, LONGEST_PAUSE, pause
from gateway.account.origin import AccountHost, check_fetch
from gateway.pages.account import ago, ahead
from gateway.session.identity import NotSameOrigin

HOST = AccountHost("https://account.my-jarvis.app")
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("account.my-jarvis.app", True),
        ("ACCOUNT.My-Jarvis.App", True),
        ("account.my-jarvis.app:443", True),
        ("account.my-jarvis.app:8443", True),
        ("account.my-jarvis.app.", True),
        (" account.my-jarvis.app.:1 ", True),
        ("my-jarvis.app", False),
        ("account.my-jarvis.app.evil.example", False),
        ("x.account.my-jarvis.app", False),
        ("[::1]:80", False),
        ("", False),
    ],
)
def test_the_account_host_is_known_in_every_spelling_a_browser_shares_cookies_with(host: str, ours: bool) -> None:
    assert HOST.is_named(host) is ours


@pytest.mark.parametrize(
    ("method", "headers", "allowed"),
    [
        ("GET", {}, True),
        ("GET", {"Sec-Fetch-Site": "none"}, True),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, True),
        ("GET", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, True),
        ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, False),
        ("GET", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, False),
        ("POST", {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, False),
        ("GET", {"Sec-Fetch-Site": "odd"}, False),
    ],
)
def test_only_a_person_who_follows_a_link_comes_from_elsewhere(
    method: str, headers: dict[str, str], allowed: bool
) -> None:
    if allowed:
        check_fetch(method, headers)
    else:
        with pytest.raises(NotSameOrigin):
            check_fetch(method, headers)


def test_a_form_token_fits_its_session_alone_and_outlives_a_rotation_of_keys() -> None:
    old, new = FormTokens({"k1": b"1" * 32}), FormTokens({"k2": b"2" * 32, "k1": b"1" * 32})
    token = old.of(b"ada")
    assert old.fits(token, b"ada")
    assert new.fits(token, b"ada")
    assert not old.fits(token, b"bob")
    assert not old.fits(new.of(b"ada"), b"ada")


@given(st.text())
def test_no_other_text_is_a_form_token(text: str) -> None:
    tokens = FormTokens({"k1": b"1" * 32})
    assert tokens.fits(text, b"ada") is (text == tokens.of(b"ada"))


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.4 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537.36 Chrome/126 Safari/537.36 Edg/126", "Edge on Windows"),
        ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) CriOS/126 Safari/604.1", "Chrome on iPhone"),
        ("curl/8.5.0", "curl"),
        ("<script>alert(1)</script>", UNKNOWN),
        ("", UNKNOWN),
        (None, UNKNOWN),
    ],
)  # fmt: skip
def test_a_device_is_told_in_words(sent: str | None, words: str) -> None:
    assert device(sent) == words


@given(st.text(max_size=400))
def test_whatever_a_browser_calls_itself_is_told_in_few_plain_words(sent: str) -> None:
    assert len(device(sent)) <= 60
    assert "<" not in device(sent)


def test_times_are_told_as_people_say_them() -> None:
    assert ago(NOW, NOW + timedelta(seconds=59)) == "just now"
    assert ago(NOW, NOW + timedelta(minutes=1)) == "1 minute ago"
    assert ago(NOW, NOW + timedelta(hours=47)) == "1 day ago"
    assert ahead(NOW + timedelta(days=90), NOW) == "in 90 days"


def test_a_deletion_is_tried_again_ever_more_slowly() -> None:
    assert pause(1) == FIRST_PAUSE
    assert [pause(n) for n in range(1, 40)] == sorted(pause(n) for n in range(1, 40))
    assert pause(1000) == LONGEST_PAUSE
