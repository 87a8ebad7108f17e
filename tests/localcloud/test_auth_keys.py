"""Signing keys: their table of steps, and their life as a verifier sees it."""

import jwt
import pytest

from localcloud.auth.keys import STEPS, IllegalKeyStep, KeyEvent, KeyRing, KeyState
from localcloud.auth.records import SigningKey
from localcloud.auth.store import Store
from tests.parts.local_auth import ShiftedClock, auth_for_test, person_at


@pytest.fixture
def clock():
    return ShiftedClock()


@pytest.fixture
async def ada(tmp_path, clock):
    async with auth_for_test(tmp_path, now=clock) as auth, person_at(auth) as person:
        yield person


async def verify(person, token):
    """As the gateway should: by the published keys alone."""
    keys = jwt.PyJWKSet.from_dict(await published(person))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(
        token,
        key,
        algorithms=[key.algorithm_name],
        audience="authenticated",
        issuer=f"{person.auth.url}/auth/v1",
        options={"require": ["exp", "iat", "sub", "aud", "iss", "role", "session_id"]},
    )


async def published(person):
    response = await person.http.get(f"{person.auth.url}/auth/v1/.well-known/jwks.json")
    assert response.headers["Cache-Control"] == "public, max-age=600"
    return response.json()


async def token_of(person):
    return (await person.sign_in("ada@example.com"))["access_token"]


async def states(person):
    return {key["kid"]: key["state"] for key in (await person.pull("GET", "/keys")).json()}


async def test_tokens_verify_against_the_published_keys(ada):
    """Public halves only, for anybody, without an API key."""
    token = await token_of(ada)
    assert (await verify(ada, token))["email"] == "ada@example.com"
    (key,) = (await published(ada))["keys"]
    assert set(key) == {"kty", "crv", "x", "y", "kid", "alg", "use", "key_ops", "ext"}
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "JWT", "kid": key["kid"]}


async def test_a_key_lives_from_standby_to_revoked(ada):
    """Published before it signs; trusted after it signed; gone when revoked."""
    old = await token_of(ada)
    (old_key,) = [key["kid"] for key in (await published(ada))["keys"]]

    await ada.pull("POST", "/keys/standby")
    both = {key["kid"] for key in (await published(ada))["keys"]}
    assert len(both) == 2
    assert jwt.get_unverified_header(await token_of(ada))["kid"] == old_key

    await ada.pull("POST", "/keys/rotate")
    new = await token_of(ada)
    (new_key,) = both - {old_key}
    assert jwt.get_unverified_header(new)["kid"] == new_key
    assert await verify(ada, old)
    assert (await states(ada))[old_key] == "previously_used"

    assert (await ada.pull("POST", f"/keys/{new_key}/revoke")).status_code == 409
    assert (await ada.pull("POST", f"/keys/{old_key}/revoke")).status_code == 200
    assert {key["kid"] for key in (await published(ada))["keys"]} == {new_key}
    refused = await ada.call("GET", "/user", old)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "bad_jwt")
    assert await verify(ada, new)


async def test_each_step_can_be_taken_back(ada):
    old = await token_of(ada)
    await ada.pull("POST", "/keys/rotate")
    old_key = jwt.get_unverified_header(old)["kid"]
    await ada.pull("POST", f"/keys/{old_key}/revoke")
    await ada.pull("POST", f"/keys/{old_key}/restore")
    assert await verify(ada, old)
    await ada.pull("POST", "/keys/rotate")
    assert jwt.get_unverified_header(await token_of(ada))["kid"] == old_key


async def test_rs256_is_published_too(ada):
    await ada.pull("POST", "/keys/rotate", {"algorithm": "RS256"})
    token = await token_of(ada)
    assert jwt.get_unverified_header(token)["alg"] == "RS256"
    assert await verify(ada, token)


async def test_a_project_on_its_legacy_secret_publishes_nothing(tmp_path):
    """HS256: no `kid`, an empty key list, and a migration to ES256 that keeps old tokens good."""
    async with auth_for_test(tmp_path, signing="HS256") as auth, person_at(auth) as ada:
        old = await token_of(ada)
        assert jwt.get_unverified_header(old) == {"alg": "HS256", "typ": "JWT"}
        assert (await published(ada)) == {"keys": []}
        assert jwt.decode(old, auth.jwt_secret, algorithms=["HS256"], audience="authenticated")
        await ada.pull("POST", "/keys/rotate")
        assert await verify(ada, await token_of(ada))
        assert (await ada.call("GET", "/user", old)).status_code == 200


async def test_forgeries_are_no_bearers(ada):
    """A token whose algorithm is not its key's, and one without a signature."""
    token = await token_of(ada)
    claims = jwt.decode(token, options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, algorithm="none")
    foreign = jwt.encode(claims, "x" * 40, algorithm="HS256", headers={"kid": jwt.get_unverified_header(token)["kid"]})
    for forged in (unsigned, foreign, "garbage", token[:-4] + "AAAA"):
        assert (await ada.call("GET", "/user", forged)).json()["error_code"] == "bad_jwt"


@pytest.mark.parametrize("state", KeyState)
@pytest.mark.parametrize("event", [KeyEvent.REVOKE, KeyEvent.RESTORE])
def test_only_steps_of_the_table_are_taken(tmp_path, clock, state, event):
    store = Store(tmp_path / "keys.sqlite3")
    ring = KeyRing(store, "ES256", clock)
    subject = store.find(SigningKey, id=ring.create_standby("ES256"))
    subject.state = state
    store.save(subject)
    act = ring.revoke if event is KeyEvent.REVOKE else ring.restore
    if (state, event) in STEPS:
        act(subject.id)
    else:
        with pytest.raises(IllegalKeyStep):
            act(subject.id)
    assert store.find(SigningKey, id=subject.id).state == STEPS.get((state, event), state)
    store.close()
