"""POST /token over raw HTTP: grants, refusals in both shapes, claims, and the shared bucket."""

import jwt
import pytest

from localcloud.auth.records import Session
from tests.parts.local_auth import PUBLISHABLE, SECRET, ShiftedClock, auth_for_test, new_verifier, person_at


@pytest.fixture
def clock():
    return ShiftedClock()


@pytest.fixture
async def ada(tmp_path, clock):
    async with auth_for_test(tmp_path, now=clock) as auth, person_at(auth) as person:
        yield person


NEW_SHAPE = {"X-Supabase-Api-Version": "2024-01-01"}


async def test_the_answer_and_the_claims(ada):
    """Exactly the members that the documents name."""
    answer = await ada.sign_in("ada@example.com")
    assert set(answer) == {
        "access_token", "token_type", "expires_in", "expires_at", "refresh_token", "user", "provider_token",
    }  # fmt: skip
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})
    user = answer["user"]
    signed_in = claims["amr"][0]["timestamp"]
    assert 0 <= claims["iat"] - signed_in <= 10  # the token came after the sign-in, and a second may have begun between
    assert claims == {
        "iss": f"{ada.auth.url}/auth/v1",
        "sub": user["id"],
        "aud": "authenticated",
        "iat": claims["exp"] - 3600,
        "exp": answer["expires_at"],
        "email": "ada@example.com",
        "phone": "",
        "app_metadata": {"provider": "google", "providers": ["google"]},
        "user_metadata": user["user_metadata"],
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": "oauth", "timestamp": signed_in}],
        "session_id": claims["session_id"],
        "is_anonymous": False,
    }
    assert jwt.get_unverified_header(answer["access_token"]).keys() == {"alg", "typ", "kid"}
    assert set(user) == {
        "id", "aud", "role", "email", "phone", "email_confirmed_at", "confirmed_at", "last_sign_in_at", "app_metadata",
        "user_metadata", "identities", "created_at", "updated_at", "is_anonymous",
    }  # fmt: skip
    assert set(user["identities"][0]) == {
        "identity_id", "id", "user_id", "identity_data", "provider", "last_sign_in_at", "created_at", "updated_at",
        "email",
    }  # fmt: skip


async def test_token_lifetime_is_a_switch(ada):
    await ada.pull("PATCH", "/project", {"token_lifetime_s": 5})
    answer = await ada.sign_in("ada@example.com")
    assert answer["expires_in"] == 5


@pytest.mark.parametrize(
    ("grant", "body", "status", "code"),
    [
        ("password", {}, 400, "invalid_credentials"),
        ("", {}, 400, "invalid_credentials"),
        ("pkce", {"auth_code": "", "code_verifier": "v"}, 400, "validation_failed"),
        ("pkce", {"auth_code": "x"}, 400, "validation_failed"),
        ("pkce", {"auth_code": "x", "code_verifier": "v"}, 404, "flow_state_not_found"),
        ("pkce", {"auth_code": 7, "code_verifier": "v"}, 400, "bad_json"),
        ("pkce", ["no", "object"], 400, "bad_json"),
        ("refresh_token", {"refresh_token": "Not A Token"}, 400, "validation_failed"),
        ("refresh_token", {"refresh_token": "a" * 12}, 400, "refresh_token_not_found"),
        ("refresh_token", {"refresh_token": "A" * 51}, 400, "refresh_token_not_found"),
    ],
)
async def test_refusals_in_both_shapes(ada, grant, body, status, code):
    """Clients choose the error shape by header; the code is in `x-sb-error-code` either way."""
    old = await ada.token(grant, body)
    assert (old.status_code, old.headers["x-sb-error-code"]) == (status, code)
    assert old.json() == {"code": status, "error_code": code, "msg": old.json()["msg"]}
    assert "X-Supabase-Api-Version" not in old.headers
    new = await ada.token(grant, body, **NEW_SHAPE)
    assert new.status_code == status
    assert new.json() == {"code": code, "message": old.json()["msg"]}
    assert new.headers["X-Supabase-Api-Version"] == "2024-01-01"


async def test_no_refresh_token_is_refused_in_oauths_words(ada):
    response = await ada.token("refresh_token", {}, **NEW_SHAPE)
    assert response.status_code == 400
    assert response.json() == {"error": "invalid_request", "error_description": "refresh_token required"}


async def test_unreadable_and_oversized_bodies(ada):
    url, headers = f"{ada.auth.url}/auth/v1/token?grant_type=pkce", {"apikey": PUBLISHABLE}
    garbage = await ada.http.post(url, content=b"{not json", headers=headers)
    assert (garbage.status_code, garbage.json()["error_code"]) == (400, "bad_json")
    huge = await ada.http.post(url, content=b'"' + b"x" * 1024 * 1024 + b'"', headers=headers)
    assert (huge.status_code, huge.json()["error_code"]) == (413, "request_entity_too_large")


async def test_a_wrong_verifier_does_not_burn_the_code_and_success_does(ada):
    verifier = new_verifier()
    code = await ada.code("ada@example.com", verifier)
    wrong = await ada.token("pkce", {"auth_code": code, "code_verifier": "w" * 50})
    assert (wrong.status_code, wrong.json()["error_code"]) == (400, "bad_code_verifier")
    body = {"auth_code": code, "code_verifier": verifier}
    assert [(await ada.token("pkce", body)).status_code for _ in range(2)] == [200, 404]


async def test_a_code_of_a_user_since_banned_is_refused(ada):
    user = (await ada.sign_in("ada@example.com"))["user"]
    verifier = new_verifier()
    code = await ada.code("ada@example.com", verifier)
    await ada.administer("PUT", f"/users/{user['id']}", json={"ban_duration": "1h30m"})
    refused = await ada.token("pkce", {"auth_code": code, "code_verifier": verifier})
    assert (refused.status_code, refused.json()["error_code"]) == (403, "user_banned")


async def spend(ada, calls, **headers):
    """How many of so many garbage calls got through the bucket."""
    answers = [await ada.token("pkce", {}, **headers) for _ in range(calls)]
    return sum(answer.status_code != 429 for answer in answers)


async def test_garbage_codes_starve_everybodys_refresh(ada, clock):
    """One bucket of thirty for logins and refreshes alike, refilled by one in two seconds."""
    refresh_token = (await ada.sign_in("ada@example.com"))["refresh_token"]
    assert await spend(ada, 31) == 29
    starved = await ada.refresh(refresh_token)
    assert (starved.status_code, starved.json()["error_code"]) == (429, "over_request_rate_limit")
    clock.advance(seconds=2)
    assert (await ada.refresh(refresh_token)).status_code == 200
    clock.advance(hours=10)
    assert await spend(ada, 32) == 30


async def test_forwarded_addresses_have_buckets_of_their_own(ada):
    """Only with a secret key, only if the project believes it, and only if it is an address."""
    vouched = {"apikey": SECRET, "Sb-Forwarded-For": "203.0.113.7, 10.0.0.1", "User-Agent": "my-jarvis"}
    assert await spend(ada, 31, **vouched) == 30
    await ada.pull("PATCH", "/project", {"ip_forwarding": True})
    assert await spend(ada, 1, **vouched) == 1
    assert await spend(ada, 1, **{**vouched, "apikey": PUBLISHABLE}) == 0
    assert await spend(ada, 1, **{**vouched, "Sb-Forwarded-For": "somebody"}) == 0


async def test_a_session_remembers_who_called(ada):
    """The caller's agent and the vouched address: the gateway's own, unless it says otherwise."""
    await ada.pull("PATCH", "/project", {"ip_forwarding": True})
    answer = await ada.sign_in("ada@example.com")
    vouched = {"apikey": SECRET, "Sb-Forwarded-For": "2001:db8::1", "User-Agent": "my-jarvis"}
    await ada.refresh(answer["refresh_token"], **vouched)
    (session,) = ada.auth.service.store.all(Session)
    assert (session.ip, session.user_agent) == ("2001:db8::1", "my-jarvis")
