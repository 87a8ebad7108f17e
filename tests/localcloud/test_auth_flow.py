"""/authorize and /callback over raw HTTP: each row of what can happen between leaving for Google and coming back."""

import asyncio
from uuid import UUID, uuid4

import pytest

from tests.parts.local_auth import (
    RETURN_TO,
    SITE_URL,
    ShiftedClock,
    auth_for_test,
    challenge_of,
    fragment_of,
    new_verifier,
    person_at,
    query_of,
)


@pytest.fixture
def clock():
    return ShiftedClock()


@pytest.fixture
async def ada(tmp_path, clock):
    async with auth_for_test(tmp_path, now=clock) as auth, person_at(auth) as person:
        yield person


def s256(verifier: str = "v" * 50) -> dict[str, str]:
    return {"code_challenge": challenge_of(verifier), "code_challenge_method": "S256"}


async def test_authorize_sends_the_browser_to_google(ada):
    """Unreserved keys go along, even `redirect_to`; reserved ones are dropped in any letter case."""
    response = await ada.authorize(
        "ada@example.com",
        **s256(),
        prompt="select_account",
        scopes="a,b c",
        State="mine",
        client_id="x",
        Code_Verifier="y",
    )
    assert response.status_code == 302
    assert response.headers["Location"].startswith(f"{ada.auth.url}/google/o/oauth2/v2/auth?")
    sent = query_of(response.headers["Location"])
    assert UUID(sent.pop("state"))
    assert sent == {
        "client_id": "local.apps.googleusercontent.com",
        "redirect_uri": f"{ada.auth.url}/auth/v1/callback",
        "response_type": "code",
        "scope": "email profile a b c",
        "login_hint": "ada@example.com",
        "prompt": "select_account",
        "redirect_to": RETURN_TO,
    }


@pytest.mark.parametrize(
    "query",
    [
        {"provider": "github"},
        {"provider": ""},
        {"code_challenge": "c" * 43},
        {"code_challenge_method": "s256"},
        {"code_challenge": "c" * 42, "code_challenge_method": "s256"},
        {"code_challenge": "c" * 129, "code_challenge_method": "s256"},
        {"code_challenge": "c" * 43 + "!", "code_challenge_method": "s256"},
        {"code_challenge": "c" * 43, "code_challenge_method": "s512"},
    ],
)
async def test_authorize_refuses_in_the_browsers_face(ada, query):
    response = await ada.authorize(**query)
    assert (response.status_code, response.json()["error_code"]) == (400, "validation_failed")


async def test_authorize_refuses_google_when_it_is_off(ada):
    await ada.pull("PATCH", "/project", {"google_enabled": False})
    assert (await ada.authorize(**s256())).status_code == 400
    assert (await ada.call("GET", "/settings")).json()["external"]["google"] is False


async def test_success_returns_with_a_code_merged_into_the_query(ada):
    url = await ada.arrive("ada@example.com", **s256(), redirect_to=f"{RETURN_TO}?z=1&b=2")
    head, _, query = url.partition("?")
    assert head == RETURN_TO
    assert [pair.partition("=")[0] for pair in query.split("&")] == ["b", "code", "z"]
    assert UUID(query_of(url)["code"]).version == 4


@pytest.mark.parametrize("challenge_method", ["plain", "PLAIN"])
async def test_a_plain_challenge_is_its_own_verifier(ada, challenge_method):
    verifier = new_verifier()
    url = await ada.arrive("ada@example.com", code_challenge=verifier, code_challenge_method=challenge_method)
    answer = await ada.token("pkce", {"auth_code": query_of(url)["code"], "code_verifier": verifier})
    assert answer.status_code == 200


async def test_without_a_challenge_tokens_come_in_the_fragment(ada):
    """The implicit flow, which the server has no switch to forbid."""
    url = await ada.arrive("ada@example.com")
    tokens = fragment_of(url)
    assert set(tokens) == {
        "access_token", "expires_at", "expires_in", "provider_token", "refresh_token", "sb", "token_type",
    }  # fmt: skip
    assert "code" not in query_of(url)
    assert (await ada.call("GET", "/user", tokens["access_token"])).json()["email"] == "ada@example.com"


async def test_a_forbidden_return_address_is_silently_replaced(ada):
    url = await ada.arrive("ada@example.com", **s256(), redirect_to="https://evil.test/steal")
    assert url.startswith(f"{SITE_URL}?code=")


async def test_the_return_address_may_come_as_a_header(ada):
    response = await ada.http.get(
        f"{ada.auth.url}/auth/v1/authorize",
        params={"provider": "google", "login_hint": "ada@example.com", **s256()},
        headers={"redirect_to": f"{SITE_URL}/by-header"},
    )
    response = await ada.http.get(response.headers["Location"])
    response = await ada.http.get(response.headers["Location"])
    assert response.headers["Location"].startswith(f"{SITE_URL}/by-header?code=")


async def callback(ada, **query):
    return await ada.http.get(f"{ada.auth.url}/auth/v1/callback", params=query)


async def state_of_a_new_flow(ada, **query):
    return query_of((await ada.authorize(**{**s256(), **query})).headers["Location"])["state"]


async def used_state(ada):
    response = await ada.authorize("ada@example.com", **s256())
    state = query_of(response.headers["Location"])["state"]
    back = await ada.http.get(response.headers["Location"])
    await ada.http.get(back.headers["Location"])
    return state


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("missing", "bad_oauth_callback"),
        ("not a uuid", "bad_oauth_state"),
        ("unknown", "bad_oauth_state"),
        ("expired", "bad_oauth_state"),
        ("used", "flow_state_already_used"),
    ],
)
async def test_a_bad_state_lands_on_the_site_root(ada, clock, case, code):
    """Nobody knows where the browser came from: SITE_URL must understand `?error=…`, in the query only."""
    states = {"missing": "", "not a uuid": "x", "unknown": str(uuid4())}
    state = states.get(case) or (await used_state(ada) if case == "used" else await state_of_a_new_flow(ada))
    if case == "missing":
        state = ""
    if case == "expired":
        clock.advance(seconds=301)
    response = await callback(ada, state=state, code="x")
    assert response.status_code == 303
    url = response.headers["Location"]
    assert url.startswith(f"{SITE_URL}?")
    assert "#" not in url
    assert (query_of(url)["error"], query_of(url)["error_code"]) == ("invalid_request", code)


async def test_cancelling_at_google_returns_googles_own_error(ada):
    """In query and fragment, without a code of Auth's, and with the caller's own query kept."""
    state = await state_of_a_new_flow(ada, redirect_to=f"{RETURN_TO}?s=1")
    response = await callback(ada, state=state, error="access_denied", error_description="said no")
    assert response.status_code == 302
    url = response.headers["Location"]
    told = {"error": "access_denied", "error_description": "said no"}
    assert query_of(url) == {**told, "s": "1"}
    assert fragment_of(url) == {**told, "sb": ""}


async def test_sign_ups_off_keeps_strangers_out_and_lets_users_in(ada):
    await ada.sign_in("ada@example.com")
    await ada.pull("PATCH", "/project", {"disable_signup": True})
    url = await ada.arrive("grace@example.com", **s256())
    assert query_of(url)["error"] == "access_denied"
    assert query_of(url)["error_code"] == fragment_of(url)["error_code"] == "signup_disabled"
    assert await ada.sign_in("ada@example.com")


async def test_a_banned_user_is_turned_away_at_sign_in(ada):
    user = (await ada.sign_in("ada@example.com"))["user"]
    await ada.administer("PUT", f"/users/{user['id']}", json={"ban_duration": "24h"})
    told = query_of(await ada.arrive("ada@example.com", **s256()))
    assert (told["error"], told["error_code"]) == ("access_denied", "user_banned")


async def test_an_unverified_address_is_turned_away(ada):
    await ada.pull("PUT", "/google/accounts", {"email": "new@example.com", "email_verified": False})
    told = query_of(await ada.arrive("new@example.com", **s256()))
    assert (told["error"], told["error_code"]) == ("access_denied", "provider_email_needs_verification")


async def test_an_unverified_address_does_not_take_over_its_owners_account(ada):
    """Another Google account that merely claims Ada's address."""
    await ada.sign_in("ada@example.com")
    claim = {"email": "ada@example.com", "sub": "1" * 21, "email_verified": False}
    await ada.pull("PUT", "/google/accounts", claim)
    told = query_of(await ada.arrive("ada@example.com", **s256()))
    assert told["error_code"] == "provider_email_needs_verification"
    await ada.pull("PUT", "/google/accounts", {**claim, "email_verified": True})
    linked = (await ada.sign_in("ada@example.com"))["user"]
    assert len(linked["identities"]) == 2


async def test_a_failed_exchange_is_a_server_error(ada):
    await ada.pull("PATCH", "/project", {"google_exchange_fails": True})
    told = query_of(await ada.arrive("ada@example.com", **s256()))
    assert (told["error"], told["error_code"]) == ("server_error", "unexpected_failure")


async def test_a_code_google_never_gave_is_a_server_error(ada):
    response = await callback(ada, state=await state_of_a_new_flow(ada), code="4/forged")
    assert query_of(response.headers["Location"])["error"] == "server_error"


async def test_a_return_without_a_code_is_told_to_the_caller(ada):
    response = await callback(ada, state=await state_of_a_new_flow(ada))
    assert response.headers["Location"].startswith(RETURN_TO)
    assert query_of(response.headers["Location"])["error_code"] == "bad_oauth_callback"


async def test_google_may_return_by_post(ada):
    response = await ada.authorize("ada@example.com", **s256())
    back = await ada.http.get(response.headers["Location"])
    posted = await ada.http.post(f"{ada.auth.url}/auth/v1/callback", data=query_of(back.headers["Location"]))
    assert "code" in query_of(posted.headers["Location"])


async def test_two_first_sign_ins_at_once_make_one_user(ada):
    """Two tabs, one new person."""
    first, second = await asyncio.gather(ada.sign_in("new@example.com"), ada.sign_in("new@example.com"))
    assert first["user"]["id"] == second["user"]["id"]


async def test_the_clock_of_a_flow_starts_at_authorize(ada, clock):
    """Time on Google's page counts: the code is young, the flow is not."""
    verifier = new_verifier()
    response = await ada.authorize("ada@example.com", **s256(verifier))
    clock.advance(seconds=290)
    back = await ada.http.get((await ada.http.get(response.headers["Location"])).headers["Location"])
    body = {"auth_code": query_of(back.headers["Location"])["code"], "code_verifier": verifier}
    clock.advance(seconds=20)
    late = await ada.token("pkce", body)
    assert (late.status_code, late.json()["error_code"]) == (422, "flow_state_expired")


async def test_each_sign_in_refreshes_what_google_knows(ada):
    """Google-shaped metadata; what the user put beside it stays."""
    first = await ada.sign_in("ada@example.com")
    await ada.call("PUT", "/user", first["access_token"], json={"data": {"theme": "dark", "name": "Countess"}})
    await ada.pull("PUT", "/google/accounts", {"email": "ada@example.com", "hosted_domain": "example.com"})
    metadata = (await ada.sign_in("ada@example.com"))["user"]["user_metadata"]
    assert metadata["name"] == metadata["full_name"] == "Ada Lovelace"
    assert metadata["theme"] == "dark"
    assert metadata["custom_claims"] == {"hd": "example.com"}
    assert metadata["iss"] == "https://accounts.google.com"
    assert metadata["sub"] == metadata["provider_id"]
    assert (metadata["email_verified"], metadata["phone_verified"]) == (True, False)
