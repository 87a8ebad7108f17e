"""Reading and setting the gateway's own cookies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session import cookie
from gateway.session.cookie import Ambiguous, CookieNames

LOCAL = CookieNames.for_scheme(secure=False)
SECURE = CookieNames.for_scheme(secure=True)
ID = "a" * 43
OTHER = "b" * 43


@pytest.mark.parametrize(
    "headers",
    [
        [f"jarvis={ID}"],
        [f"theme=dark; jarvis={ID}; lang=de"],
        [f"theme=dark;jarvis={ID}"],
        ["theme=dark", f"jarvis={ID}"],  # HTTP/2 may split the header
        [f"jarvis={ID}; jarvis={ID}"],
        [f'json={{"a":1}}; jarvis={ID}; odd; =x'],
        [f"xjarvis={OTHER}; jarvis-loop={OTHER}; JARVIS={OTHER}; jarvis={ID}"],
    ],
)
def test_the_session_id_is_found_among_an_apps_cookies(headers: list[str]) -> None:
    assert cookie.session_id(headers, LOCAL) == ID


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [""],
        ["jarvis"],
        ["jarvis="],
        [f"jarvis={ID}x"],
        [f"jarvis={ID[1:]}"],
        [f'jarvis="{ID}"'],
        [f"jarvis={ID[1:]}%41"],
        [f"jarvis={ID[1:]}\u00e4"],
        [f"jarvis-flow-12345678={ID}"],
        [f"__Host-jarvis={ID}"],
    ],
)
def test_what_has_not_the_form_of_an_id_is_none(headers: list[str]) -> None:
    assert cookie.session_id(headers, LOCAL) is None


def test_the_bare_name_means_nothing_on_https() -> None:
    """Any page could plant it; only the `__Host-` one is the browser's word."""
    assert cookie.session_id([f"jarvis={OTHER}; __Host-jarvis={ID}"], SECURE) == ID


@pytest.mark.parametrize(
    "headers", [[f"jarvis={ID}; jarvis={OTHER}"], [f"jarvis={ID}", f"jarvis={OTHER}"], [f"jarvis={ID}; jarvis="]]
)
def test_two_session_cookies_are_nobody(headers: list[str]) -> None:
    """A planted cookie may come first or last; we do not guess which is whose."""
    with pytest.raises(Ambiguous):
        cookie.session_id(headers, LOCAL)


def test_a_new_id_is_found_again_and_its_hash_tells_nothing() -> None:
    new = cookie.new_session_id()
    assert cookie.session_id([f"jarvis={new}"], LOCAL) == new
    assert len(cookie.hash_of(new)) == 32


def test_every_letter_of_an_id_is_chance() -> None:
    ids = [cookie.new_session_id() for _ in range(500)]
    assert len(set(ids)) == 500
    for place in range(42):  # the last letter has four bits
        assert len({each[place] for each in ids}) > 40, place
    for apart in range(1, 42):  # and none repeats another
        assert any(each[apart] != each[0] for each in ids)


def test_clearing_repeats_the_flags_that_setting_had() -> None:
    """Browsers ignore a deletion of a `__Host-` cookie without Secure and Path=/."""
    cleared = cookie.clear_cookie(SECURE.session, SECURE)
    assert cleared == "__Host-jarvis=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"


def test_only_well_formed_flow_cookies_are_counted() -> None:
    header = "jarvis-flow-abcdefgh=1; jarvis-flow-short=2; jarvis-flow-abcd;efgh=3; jarvis-flow-ABCDEFGH=4"
    assert cookie.flow_cookies([header], LOCAL) == {"jarvis-flow-abcdefgh": "1", "jarvis-flow-ABCDEFGH": "4"}


@given(st.lists(st.text(max_size=80), max_size=4))
def test_no_cookie_header_breaks_the_reader(headers: list[str]) -> None:
    """Whatever an App or an attacker puts there, the answer is an id, none, or Ambiguous."""
    try:
        found = cookie.session_id(headers, LOCAL)
    except Ambiguous:
        return
    assert found is None or len(found) == 43


@given(st.binary(max_size=200))
def test_bytes_travel_in_a_cookie(raw: bytes) -> None:
    assert cookie.from_text(cookie.to_text(raw)) == raw


@given(st.text(max_size=50))
def test_text_that_is_no_base64_is_refused(text: str) -> None:
    try:
        raw = cookie.from_text(text)
    except ValueError:
        return
    assert cookie.from_text(cookie.to_text(raw)) == raw
