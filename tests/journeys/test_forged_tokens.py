"""The table of attacks on access tokens, at the door where they would arrive."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from localcloud.database import Database
from tests.gateway.session import test_claims, tokens
from tests.gateway.session.test_claims import ATTACKS
from tests.parts.raw_http import Heard, exchange
from tests.parts.system import served

NO_FIELD = "\0\r\n"
"""What a header field cannot hold: such a request is refused before anybody reads the token."""


@asynccontextmanager
async def key_server() -> AsyncIterator[str]:
    """Supabase, as far as a token that was handed out somewhere needs it: its public keys."""
    keys = [tokens.public_jwk(tokens.EC_KEY, "ec"), tokens.public_jwk(tokens.RSA_KEY, "rsa")]
    app = web.Application()

    async def jwks(_: web.Request) -> web.Response:
        return web.json_response({"keys": keys})

    app.router.add_get("/auth/v1/.well-known/jwks.json", jwks)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def shown(public: str, token: str) -> Heard:
    head = b"GET /env HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %b\r\n\r\n"
    return await exchange(public, head % token.encode("utf-8", "surrogatepass"))


async def test_every_forged_token_gets_a_401_and_one_line_in_the_log(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the real listener; and nothing of the token is in what the gateway says, to whomever."""
    async with key_server() as supabase, served(tmp_path, database, environment={"LOG_FORMAT": "json"}) as cloud:
        now = datetime.now(UTC)
        monkeypatch.setattr(tokens, "ISSUER", f"{supabase}/auth/v1")
        for module in (tokens, test_claims):
            monkeypatch.setattr(module, "NOW", now)
        good = tokens.sign(tokens.claims())
        monkeypatch.setattr(test_claims, "GOOD", good)
        gateway = await cloud.replica("one", SUPABASE_URL=supabase)
        # So that a refusal is about the token: this one is believed, and leads as far as making a machine.
        instance = await exchange(
            gateway.public,
            b"GET /_gateway/instance HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
            + good.encode()
            + b"\r\n\r\n",
        )
        assert instance.status == 200, instance.raw
        for name, make in ATTACKS.items():
            token = make().strip(" ")  # a field's value has no spaces at its ends
            if token == good:
                continue
            before = len(gateway.program.log())
            answer = await shown(gateway.public, token)
            if any(letter in token for letter in NO_FIELD):
                assert answer.status == 400, name
                continue
            assert answer.status == 401, (name, answer.raw)
            lines = [json.loads(line) for line in gateway.program.log()[before:].splitlines()]
            [failed] = [line["error"] for line in lines if line["event"] == "request_failed"]
            # What could not be a token of ours is the App's, and nobody comes with it.
            refused = [line["reason"] for line in lines if line["event"] == "token_refused"]
            assert len(refused) == (failed != "NotSignedIn"), (name, lines)
            told = gateway.program.log()[before:] + answer.raw.decode("utf-8", "replace")
            secrets = [part for part in token.split(".") if len(part) > 24]
            assert not [part for part in secrets if part[:24] in told], name
