"""Supabase's signing keys: fetched rarely, kept through outages, never taken on trust."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.session.claims import TokenRefused
from gateway.session.identity import SignInUnavailable
from gateway.session.jwks import KeyRing, read_keys
from gateway.session.token import Tokens
from tests.gateway.session import tokens
from tests.gateway.session.tokens import EC_KEY, OTHER_EC_KEY, RSA_KEY, TRUST, claims, public_jwk, sign
from tests.parts.clock import ManualClock
from tests.parts.plain_http import NO_TLS


@dataclass
class KeyServer:
    """Serves a JWKS document and counts who asks. `status` other than 200 is an outage."""

    document: Any = field(default_factory=lambda: {"keys": [public_jwk(EC_KEY, "ec")]})
    status: int = 200
    asked: int = 0
    url: str = ""

    async def answer(self, _: web.BaseRequest) -> web.Response:
        self.asked += 1
        await asyncio.sleep(0)  # so that parallel callers really overlap
        return web.json_response(self.document, status=self.status)


@asynccontextmanager
async def served(server: KeyServer) -> AsyncIterator[httpx.AsyncClient]:
    runner = web.ServerRunner(web.Server(server.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    try:
        async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as http:
            yield http
    finally:
        await runner.cleanup()


@pytest.fixture
async def server() -> KeyServer:
    return KeyServer()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def ring(server: KeyServer, clock: ManualClock) -> AsyncIterator[KeyRing]:
    async with served(server) as http:
        ring = KeyRing(server.url, http=http, clock=clock, fresh=timedelta(minutes=10), stale=timedelta(hours=1))
        yield ring
        await ring.aclose()


@pytest.fixture
def verifier(ring: KeyRing, clock: ManualClock) -> Tokens:
    return Tokens(ring, TRUST, clock=clock, remember=100)


async def test_two_hundred_first_tokens_fetch_the_keys_once(
    server: KeyServer, verifier: Tokens, clock: ManualClock
) -> None:
    """A replica that starts under load does not ask Supabase two hundred times."""
    good = [sign(claims(clock.now(), aal=f"aal{n}")) for n in range(200)]
    await asyncio.gather(*(verifier.verify(token) for token in good))
    assert server.asked == 1


async def test_made_up_key_ids_do_not_become_a_flood_of_ours(
    server: KeyServer, verifier: Tokens, clock: ManualClock
) -> None:
    """A stranger's tokens with random key ids cost one fetch a minute, however many come."""
    await verifier.verify(sign(claims(clock.now())))
    for number in range(50):
        with pytest.raises(TokenRefused):
            await verifier.verify(sign(claims(clock.now()), kid=f"made-up-{number}"))
    assert server.asked == 1
    await clock.advance(seconds=60)
    with pytest.raises(TokenRefused):
        await verifier.verify(sign(claims(clock.now()), kid="made-up"))
    assert server.asked == 2


async def test_a_rotated_key_is_found(server: KeyServer, verifier: Tokens, clock: ManualClock) -> None:
    """Supabase signs with a new key: the first such token fetches it, the old key's tokens stay good."""
    old = sign(claims(clock.now()))
    await verifier.verify(old)
    server.document["keys"].append(public_jwk(OTHER_EC_KEY, "new"))
    await clock.advance(minutes=2)
    await verifier.verify(sign(claims(clock.now()), key=OTHER_EC_KEY, kid="new"))
    await verifier.verify(old)
    assert server.asked == 2


async def test_keys_are_renewed_after_ten_minutes_without_anybody_waiting(
    server: KeyServer, ring: KeyRing, clock: ManualClock
) -> None:
    """A revoked key stops working within minutes, and no request pays for finding out."""
    await ring.fetched()
    server.document = {"keys": [public_jwk(OTHER_EC_KEY, "new")]}
    await clock.advance(minutes=10)
    assert set(ring.keys) == {"ec"}
    await ring.aclose()  # lets the fetch end
    assert set(ring.keys) == {"new"}


async def test_known_keys_serve_through_an_outage_of_an_hour(
    server: KeyServer, verifier: Tokens, ring: KeyRing, clock: ManualClock
) -> None:
    """Supabase down is no reason to sign anybody out; for ever would be no revocation at all."""
    await ring.fetched()
    server.status = 503
    await clock.advance(minutes=59)
    await verifier.verify(sign(claims(clock.now())))
    await clock.advance(minutes=1)
    with pytest.raises(SignInUnavailable):
        await verifier.verify(sign(claims(clock.now(), aal="aal2")))
    server.status = 200
    await clock.advance(seconds=5)
    await verifier.verify(sign(claims(clock.now(), aal="aal2")))


async def test_an_outage_at_the_start_heals_within_seconds(
    server: KeyServer, verifier: Tokens, clock: ManualClock
) -> None:
    """A token cannot be told good or bad without keys: 503, not 401, and not a call for each try."""
    server.status = 500
    for _ in range(10):
        with pytest.raises(SignInUnavailable):
            await verifier.verify(sign(claims(clock.now())))
    assert server.asked == 1
    server.status = 200
    await clock.advance(seconds=5)
    await verifier.verify(sign(claims(clock.now())))


@pytest.mark.parametrize("document", [[], {}, {"keys": {}}, None, "keys"])
async def test_a_document_of_another_shape_keeps_the_old_keys(
    server: KeyServer, ring: KeyRing, clock: ManualClock, document: object
) -> None:
    """A captive portal or an error page with status 200 is no revocation."""
    await ring.fetched()
    server.document = document
    await clock.advance(minutes=10)
    assert set(await ring.fetched()) == {"ec"}


async def test_a_checked_token_is_remembered_until_it_ends(
    server: KeyServer, verifier: Tokens, clock: ManualClock
) -> None:
    """The same token costs its cryptography once, and no longer than it lives."""
    token = sign(claims(clock.now()))
    first = await verifier.verify(token)
    assert await verifier.verify(token) is first
    await clock.advance(hours=1, seconds=10)
    with pytest.raises(TokenRefused):
        await verifier.verify(token)


async def test_a_remembered_token_does_not_vouch_for_its_signature(verifier: Tokens, clock: ManualClock) -> None:
    """A known signature under other content is not known."""
    token = sign(claims(clock.now()))
    await verifier.verify(token)
    header, _, signature = token.split(".")
    forged = f"{header}.{tokens.part(claims(clock.now(), sub='11111111-2222-4333-8444-555555555555'))}.{signature}"
    with pytest.raises(TokenRefused):
        await verifier.verify(forged)


async def test_tokens_of_a_user_can_be_forgotten(verifier: Tokens, clock: ManualClock) -> None:
    token = sign(claims(clock.now()))
    first = await verifier.verify(token)
    verifier.forget(lambda known: known.user_id == tokens.ADA)
    assert await verifier.verify(token) is not first


async def test_our_tokens_are_told_from_an_apps_own(verifier: Tokens) -> None:
    """Good or bad, a token that names our project never travels on to a Machine."""
    assert verifier.ours(sign(claims(exp=1)))
    assert verifier.ours(sign(claims(), key=OTHER_EC_KEY))
    assert not verifier.ours(sign(claims(iss="https://app.test")))
    assert not verifier.ours("opaque-token-of-the-app")


class TestReadingADocument:
    def test_only_signing_keys_of_the_two_algorithms_are_taken(self) -> None:
        p384, small = ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 1024)
        document = {
            "keys": [
                public_jwk(EC_KEY, "ec"),
                public_jwk(RSA_KEY, "rsa"),
                {name: value for name, value in public_jwk(EC_KEY, "no-alg").items() if name != "alg"},
                public_jwk(EC_KEY, "encrypts", use="enc"),
                public_jwk(p384, "p384", alg="ES384"),
                public_jwk(p384, "p384-as-es256"),
                public_jwk(small, "small"),
                public_jwk(RSA_KEY, "rs512", alg="RS512"),
                public_jwk(RSA_KEY, "list", alg=["RS256"]),
                {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "shared"},
                {"kty": "EC", "kid": "broken", "crv": "P-256", "x": "AA", "y": "AA"},
                {"kty": "RSA", "kid": "broken-rsa", "n": 1, "e": None},
                {"kty": "EC", "crv": "P-256"},
                {"kid": 7},
                "nonsense",
                None,
            ]
        }
        assert set(read_keys(document)) == {"ec", "rsa", "no-alg"}

    def test_a_private_key_published_by_mistake_serves_as_a_public_one(self) -> None:
        private = public_jwk(EC_KEY, "ec") | {"d": "AAAA"}
        assert set(read_keys({"keys": [private]})) == {"ec"}
