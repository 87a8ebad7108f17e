"""The real supabase_auth client against the local Auth server."""

import asyncio

import httpx
import jwt
import pytest
from supabase_auth import AsyncGoTrueClient
from supabase_auth.errors import AuthApiError

from tests.parts.local_auth import PUBLISHABLE, RETURN_TO, SECRET, Person, auth_for_test, person_at, query_of
from tests.parts.plain_http import NO_TLS


@pytest.fixture
async def auth(tmp_path):
    async with auth_for_test(tmp_path) as running:
        yield running


@pytest.fixture
async def ada(auth):
    async with person_at(auth) as person:
        yield person


@pytest.fixture
async def pool():
    async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as client:
        yield client


def client_of(ada: Person, pool: httpx.AsyncClient, key: str = PUBLISHABLE) -> AsyncGoTrueClient:
    headers = {"apikey": key, "Authorization": f"Bearer {key}"}
    return AsyncGoTrueClient(
        url=f"{ada.auth.url}/auth/v1",
        headers=headers,
        http_client=pool,
        flow_type="pkce",
        auto_refresh_token=False,
        persist_session=False,
    )


async def signed_in(ada: Person, client: AsyncGoTrueClient, email: str = "ada@example.com"):
    """Through the URL the client makes, Google, and the exchange."""
    options = {"redirect_to": f"{RETURN_TO}?s=xyz", "query_params": {"login_hint": email}}
    url = (await client.sign_in_with_oauth({"provider": "google", "options": options})).url
    for _ in range(3):
        url = (await ada.http.get(url)).headers["Location"]
    assert query_of(url)["s"] == "xyz"
    return await client.exchange_code_for_session({"auth_code": query_of(url)["code"]})


async def test_sign_in_refresh_and_sign_out(ada, pool):
    """The life of a session as the library lives it."""
    client = client_of(ada, pool)
    first = await signed_in(ada, client)
    assert first.user.email == "ada@example.com"
    assert first.user.user_metadata["full_name"] == "Ada Lovelace"
    assert first.user.identities[0].identity_data["sub"] == first.user.user_metadata["provider_id"]
    assert first.session.provider_token

    second = await client.refresh_session(first.session.refresh_token)
    assert second.session.refresh_token != first.session.refresh_token
    assert (await client.get_user(second.session.access_token)).user.id == first.user.id
    claims = (await client.get_claims(second.session.access_token))["claims"]
    assert claims["sub"] == first.user.id

    await client.admin.sign_out(second.session.access_token, "local")
    with pytest.raises(AuthApiError) as gone:
        await client.get_user(second.session.access_token)
    assert (gone.value.status, gone.value.code) == (403, "session_not_found")
    with pytest.raises(AuthApiError) as dead:
        await client.refresh_session(second.session.refresh_token)
    assert (dead.value.status, dead.value.code) == (400, "refresh_token_not_found")


async def test_wrong_verifier_leaves_the_code_alive(ada, pool):
    """A planted code is refused, and its owner can still use it."""
    client = client_of(ada, pool)
    verifier = "v" * 50
    code = await ada.code("ada@example.com", verifier)
    with pytest.raises(AuthApiError) as wrong:
        await client.exchange_code_for_session({"auth_code": code, "code_verifier": "w" * 50})
    assert wrong.value.code == "bad_code_verifier"
    right = await client.exchange_code_for_session({"auth_code": code, "code_verifier": verifier})
    assert right.session
    with pytest.raises(AuthApiError) as again:
        await client.exchange_code_for_session({"auth_code": code, "code_verifier": verifier})
    assert (again.value.status, again.value.code) == (404, "flow_state_not_found")


async def test_admin_deletes_a_user(ada, pool):
    """Deleting an account ends its sessions; the person may come back as somebody new."""
    client, admin = client_of(ada, pool), client_of(ada, pool, SECRET).admin
    first = await signed_in(ada, client)
    assert [user.email for user in await admin.list_users()] == ["ada@example.com"]
    await admin.delete_user(first.user.id)
    with pytest.raises(AuthApiError) as gone:
        await client.refresh_session(first.session.refresh_token)
    assert gone.value.code == "refresh_token_not_found"
    with pytest.raises(AuthApiError) as unknown:
        await admin.delete_user(first.user.id)
    assert (unknown.value.status, unknown.value.code) == (404, "user_not_found")
    again = await signed_in(ada, client)
    assert again.user.id != first.user.id


async def test_admin_bans_a_user(ada, pool):
    """A banned user neither refreshes nor asks who they are."""
    client, admin = client_of(ada, pool), client_of(ada, pool, SECRET).admin
    first = await signed_in(ada, client)
    banned = await admin.update_user_by_id(first.user.id, {"ban_duration": "24h", "app_metadata": {"plan": "pro"}})
    assert banned.user.app_metadata["plan"] == "pro"
    with pytest.raises(AuthApiError) as refused:
        await client.refresh_session(first.session.refresh_token)
    assert (refused.value.status, refused.value.code) == (400, "user_banned")
    with pytest.raises(AuthApiError) as forbidden:
        await client.get_user(first.session.access_token)
    assert (forbidden.value.status, forbidden.value.code) == (403, "user_banned")
    await admin.update_user_by_id(first.user.id, {"ban_duration": "none"})
    assert (await client.refresh_session(first.session.refresh_token)).session


async def test_sixty_people_at_once(ada, pool):
    """A fresh client per step over one pool mixes nobody up."""
    ada.auth.project.rate_burst = 1000

    async def one(number: int) -> bool:
        email = f"user{number}@example.com"
        verifier = f"{number:050d}"
        code = await ada.code(email, verifier)
        answer = await client_of(ada, pool).exchange_code_for_session({"auth_code": code, "code_verifier": verifier})
        claims = jwt.decode(answer.session.access_token, options={"verify_signature": False})
        return claims["email"] == email == answer.user.email

    assert all(await asyncio.gather(*(one(n) for n in range(60))))
