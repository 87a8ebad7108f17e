"""/user, /logout, /admin, /settings, /health, and the keys that open them."""

from uuid import uuid4

import pytest

from tests.parts.local_auth import PUBLISHABLE, SECRET, ShiftedClock, auth_for_test, person_at


@pytest.fixture
def clock():
    return ShiftedClock()


@pytest.fixture
async def ada(tmp_path, clock):
    async with auth_for_test(tmp_path, now=clock) as auth, person_at(auth) as person:
        yield person


def refusal(response):
    return (response.status_code, response.json()["error_code"])


async def test_user_needs_a_good_token(ada, clock):
    answer = await ada.sign_in("ada@example.com")
    assert (await ada.call("GET", "/user", answer["access_token"])).json()["id"] == answer["user"]["id"]
    assert refusal(await ada.call("GET", "/user")) == (401, "no_authorization")
    assert refusal(await ada.call("GET", "/user", "x.y.z")) == (403, "bad_jwt")
    assert refusal(await ada.call("GET", "/user", PUBLISHABLE)) == (403, "bad_jwt")
    clock.advance(seconds=3601)
    assert refusal(await ada.call("GET", "/user", answer["access_token"])) == (403, "bad_jwt")


async def test_users_change_their_own_data_and_nothing_else(ada):
    token = (await ada.sign_in("ada@example.com"))["access_token"]

    async def put(**body):
        return await ada.call("PUT", "/user", token, json=body)

    changed = (await put(data={"theme": "dark", "picture": None})).json()
    assert changed["user_metadata"]["theme"] == "dark"
    assert "picture" not in changed["user_metadata"]
    assert refusal(await put(app_metadata={"plan": "pro"})) == (403, "not_admin")
    assert refusal(await put(password="12345")) == (422, "weak_password")
    moved = (await put(email="Ada@Elsewhere.test")).json()
    assert (moved["email"], moved["new_email"]) == ("ada@example.com", "ada@elsewhere.test")


@pytest.mark.parametrize(
    ("scope", "this_lives", "other_lives"),
    [("local", False, True), ("others", True, False), ("global", False, False), (None, False, False)],
)
async def test_logout_scopes(ada, scope, this_lives, other_lives):
    """Without a scope every device is signed out."""
    this, other = await ada.sign_in("ada@example.com"), await ada.sign_in("ada@example.com")
    stranger = await ada.sign_in("grace@example.com")
    response = await ada.call("POST", "/logout", this["access_token"], params={"scope": scope} if scope else {})
    assert response.status_code == 204
    assert response.content == b""
    for session, lives in ((this, this_lives), (other, other_lives), (stranger, True)):
        asked = await ada.call("GET", "/user", session["access_token"])
        assert (asked.status_code == 200) is lives
        assert lives or refusal(asked) == (403, "session_not_found")
        assert ((await ada.refresh(session["refresh_token"])).status_code == 200) is lives


async def test_logout_refusals(ada, clock):
    token = (await ada.sign_in("ada@example.com"))["access_token"]
    assert refusal(await ada.call("POST", "/logout?scope=none", token)) == (400, "validation_failed")
    assert refusal(await ada.call("POST", "/logout")) == (401, "no_authorization")
    clock.advance(hours=2)
    assert refusal(await ada.call("POST", "/logout?scope=local", token)) == (403, "bad_jwt")


async def test_admin_pages_through_users(ada):
    ada.auth.project.rate_burst = 100
    people = [f"user{n}@example.com" for n in range(5)]
    for email in people:
        await ada.sign_in(email)
    page = await ada.administer("GET", "/users?page=2&per_page=2")
    assert page.json()["aud"] == "authenticated"
    assert [user["email"] for user in page.json()["users"]] == people[2:4]
    assert page.headers["X-Total-Count"] == "5"
    assert 'page=3&per_page=2>; rel="next"' in page.headers["Link"]
    assert 'page=3&per_page=2>; rel="last"' in page.headers["Link"]
    assert 'rel="next"' not in (await ada.administer("GET", "/users?page=3&per_page=2")).headers["Link"]
    assert refusal(await ada.administer("GET", "/users?page=x")) == (400, "validation_failed")


async def test_admin_refusals(ada):
    answer = await ada.sign_in("ada@example.com")
    path = f"/admin/users/{answer['user']['id']}"
    assert refusal(await ada.call("GET", path)) == (401, "no_authorization")
    assert refusal(await ada.call("GET", path, answer["access_token"])) == (403, "not_admin")
    assert refusal(await ada.call("GET", path, PUBLISHABLE)) == (403, "not_admin")
    assert refusal(await ada.call("GET", path, SECRET)) == (403, "bad_jwt")  # the apikey beside it is another
    as_user = await ada.call("GET", path, answer["access_token"], headers={"apikey": SECRET})
    assert refusal(as_user) == (403, "not_admin")  # a user's bearer stays the user's
    assert refusal(await ada.administer("GET", "/users/ada")) == (404, "validation_failed")
    assert refusal(await ada.administer("GET", f"/users/{uuid4()}")) == (404, "user_not_found")
    bad_ban = await ada.administer("PUT", path.removeprefix("/admin"), json={"ban_duration": "soon"})
    assert refusal(bad_ban) == (400, "validation_failed")


async def test_legacy_keys_open_what_they_opened(ada):
    """`anon` and `service_role` JWTs as apikey and bearer."""
    await ada.sign_in("ada@example.com")
    anon, service_role = ada.auth.legacy_key("anon"), ada.auth.legacy_key("service_role")
    listed = await ada.call("GET", "/admin/users", service_role, headers={"apikey": service_role})
    assert len(listed.json()["users"]) == 1
    assert refusal(await ada.call("GET", "/admin/users", anon, headers={"apikey": anon})) == (403, "not_admin")
    assert (await ada.call("GET", "/settings", headers={"apikey": anon})).status_code == 200


async def test_admin_changes_a_user_and_the_next_token_shows_it(ada):
    answer = await ada.sign_in("ada@example.com")
    path = f"/users/{answer['user']['id']}"
    changed = await ada.administer(
        "PUT", path, json={"app_metadata": {"plan": "pro"}, "user_metadata": {"x": 1}, "email": "Countess@example.com"}
    )
    assert changed.json()["app_metadata"] == {"provider": "google", "providers": ["google"], "plan": "pro"}
    again = (await ada.refresh(answer["refresh_token"])).json()["user"]
    assert (again["email"], again["app_metadata"]["plan"]) == ("countess@example.com", "pro")
    assert (await ada.sign_in("ada@example.com"))["user"]["id"] == answer["user"]["id"]
    await ada.sign_in("grace@example.com")
    taken = await ada.administer("PUT", path, json={"email": "grace@example.com"})
    assert refusal(taken) == (422, "email_exists")


async def test_a_ban_ends_by_itself(ada, clock):
    answer = await ada.sign_in("ada@example.com")
    path = f"/users/{answer['user']['id']}"
    banned = (await ada.administer("PUT", path, json={"ban_duration": "30m"})).json()
    assert "banned_until" in banned
    assert refusal(await ada.refresh(answer["refresh_token"])) == (400, "user_banned")
    clock.advance(minutes=31)
    assert (await ada.refresh(answer["refresh_token"])).status_code == 200


async def test_hard_delete_forgets_and_soft_delete_scrambles(ada):
    first, second = await ada.sign_in("ada@example.com"), await ada.sign_in("grace@example.com")
    hard = await ada.administer("DELETE", f"/users/{first['user']['id']}")
    assert (hard.status_code, hard.json()) == (200, {})
    assert refusal(await ada.call("GET", "/user", first["access_token"])) == (403, "user_not_found")
    assert refusal(await ada.administer("DELETE", f"/users/{first['user']['id']}")) == (404, "user_not_found")

    path = f"/users/{second['user']['id']}"
    assert (await ada.administer("DELETE", path, json={"should_soft_delete": True})).status_code == 200
    kept = (await ada.administer("GET", path)).json()
    assert "@" not in kept["email"]
    assert (kept["user_metadata"], bool(kept["deleted_at"])) == ({}, True)
    assert refusal(await ada.refresh(second["refresh_token"])) == (400, "refresh_token_not_found")
    assert (await ada.sign_in("grace@example.com"))["user"]["id"] != second["user"]["id"]


@pytest.mark.parametrize("path", ["/user", "/settings", "/health", "/admin/users"])
async def test_most_paths_want_an_api_key(ada, path):
    """The edge answers in its own words, without any of Auth's codes."""
    for headers in ({}, {"apikey": "sb_publishable_of_another_project"}, {"apikey": "x.y.z"}):
        response = await ada.http.get(f"{ada.auth.url}/auth/v1{path}", headers=headers)
        assert response.status_code == 401
        assert response.json().keys() == {"message", "hint"}
        assert "x-sb-error-code" not in response.headers


async def test_some_paths_want_none(ada):
    assert (await ada.authorize()).status_code == 302
    for path, status in (("/callback", 303), ("/.well-known/jwks.json", 200)):
        assert (await ada.http.get(f"{ada.auth.url}/auth/v1{path}")).status_code == status


async def test_the_key_may_ride_in_the_query(ada):
    response = await ada.http.get(f"{ada.auth.url}/auth/v1/health", params={"apikey": PUBLISHABLE})
    assert response.json()["name"] == "GoTrue"


async def test_a_secret_key_in_a_browsers_hands_is_refused(ada):
    """Never copy the user's User-Agent onto a call with the secret key."""
    browser = {"apikey": SECRET, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
    assert (await ada.call("GET", "/settings", headers=browser)).status_code == 401
    assert (await ada.call("GET", "/settings", headers={**browser, "apikey": PUBLISHABLE})).status_code == 200


async def test_settings_tell_that_google_is_on(ada):
    settings = (await ada.call("GET", "/settings")).json()
    assert (settings["external"]["google"], settings["disable_signup"]) == (True, False)
