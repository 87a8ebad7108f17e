"""A spare Machine at its Guard: nobody's until the gateway says whose, then theirs for ever."""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from golden.guard.assertion import Refused
from golden.guard.claim import Claim, Desk, Taken
from tests.golden.conftest import RunningGuard, StartGuard
from tests.parts.assertion import EMAIL, KEYS, MACHINE, USER, assertion, claims, token

OTHER = "7a2c3d4e-0000-4000-8000-00000000000b"
SPARE = {"JARVIS_SPARE": "1", "USER_ID": "", "USER_EMAIL": ""}


def a_claim(**changes: Any) -> str:
    """A claim that is good now, but for `changes`."""
    return token(claims(**{"use": "claim", "env": {"ANTHROPIC_API_KEY": "mine"}} | changes))


async def ask(
    http: aiohttp.ClientSession, guard: RunningGuard, path: str, word: str | None, method: str = "GET"
) -> Any:
    headers = {} if word is None else {"X-Jarvis-Assertion": word}
    async with http.request(method, guard.base + path, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def claimed(http: aiohttp.ClientSession, guard: RunningGuard, word: str) -> int:
    status, _ = await ask(http, guard, "/_guard/claim", word, "POST")
    assert isinstance(status, int)
    return status


async def test_before_its_claim_a_spare_lets_nobody_in_and_starts_nothing(
    start_guard: StartGuard, http: aiohttp.ClientSession
) -> None:
    guard = await start_guard(**SPARE)
    status, told = await ask(http, guard, "/_guard/health", None)
    assert (status, told["status"], told["machine_id"]) == (503, "unclaimed", MACHINE)
    for path in ("/", "/env", "/_guard/busy"):
        assert (await ask(http, guard, path, assertion()))[0] == 403
    assert guard.events("app_started") == []
    assert await guard.stop() == 0


async def test_a_claim_makes_it_theirs_and_starts_their_app(
    start_guard: StartGuard, http: aiohttp.ClientSession
) -> None:
    guard = await start_guard(**SPARE)
    assert await claimed(http, guard, a_claim()) == 200
    await guard.said("app_ready")
    assert (await ask(http, guard, "/_guard/health", None))[1]["status"] == "ready"
    _, environment = await ask(http, guard, "/env", assertion())
    assert (environment["USER_ID"], environment["USER_EMAIL"]) == (USER, EMAIL)
    assert "ANTHROPIC_API_KEY" in environment["names"]
    assert not [name for name in environment["names"] if name.startswith("JARVIS_")]
    assert (await ask(http, guard, "/env", assertion(sub=OTHER)))[0] == 401


async def test_it_is_claimed_once_and_saying_it_again_changes_nothing(
    start_guard: StartGuard, http: aiohttp.ClientSession
) -> None:
    """The answer to a claim may be lost, and the gateway asks again; but nobody else gets it any more."""
    guard = await start_guard(**SPARE)
    word = a_claim()
    assert [await claimed(http, guard, w) for w in (word, word, a_claim())] == [200] * 3
    assert await claimed(http, guard, a_claim(sub=OTHER)) == 409
    await guard.said("app_ready")
    assert len(guard.events("claimed")) == len(guard.events("app_started")) == 1


async def test_a_claim_outlives_the_guard(start_guard: StartGuard, http: aiohttp.ClientSession) -> None:
    """After a stop only the volume is left, and a start needs nobody to claim anything."""
    first = await start_guard(**SPARE)
    assert await claimed(http, first, a_claim()) == 200
    await first.said("app_ready")
    await first.stop()
    again = await start_guard(**SPARE)
    await again.said("app_ready")
    assert "ANTHROPIC_API_KEY" in (await ask(http, again, "/env", assertion()))[1]["names"]
    assert await claimed(http, again, a_claim(sub=OTHER)) == 409


@pytest.mark.parametrize(
    "word",
    [
        None,
        assertion(),  # good for requests, and only for them
        a_claim(aud="148e0000000bad"),
        a_claim(use="other"),
        a_claim(exp=int(time.time()) - 600, iat=int(time.time()) - 900),
        token(claims(use="claim", env={}), key=b"x" * 32),
        a_claim(env={"JARVIS_GUARD_KEYS": "k1:x"}),
        a_claim(env={"A": 1}),
        a_claim(env={"A B": "x"}),
    ],
    ids=["nothing", "assertion", "other-machine", "other-use", "expired", "forged", "guard-keys", "number", "name"],
)
async def test_what_is_no_claim_is_refused(
    start_guard: StartGuard, http: aiohttp.ClientSession, word: str | None
) -> None:
    guard = await start_guard(**SPARE)
    status, _ = await ask(http, guard, "/_guard/claim", word, "POST")
    assert status == 401
    assert (await ask(http, guard, "/_guard/health", None))[1]["status"] == "unclaimed"


async def test_a_claim_opens_nothing_but_the_claim(start_guard: StartGuard, http: aiohttp.ClientSession) -> None:
    """It lies on the volume, where the App can read it."""
    guard = await start_guard(**SPARE)
    word = a_claim()
    assert (await ask(http, guard, "/_guard/claim", word))[0] == 405
    assert await claimed(http, guard, word) == 200
    await guard.said("app_ready")
    assert (await ask(http, guard, "/env", word))[0] == 401


async def test_who_is_no_spare_knows_no_claims(guard: RunningGuard, http: aiohttp.ClientSession) -> None:
    assert (await ask(http, guard, "/_guard/claim", a_claim(), "POST"))[0] == 401
    assert (await ask(http, guard, "/_guard/claim", assertion(), "POST"))[0] == 404


def test_a_file_that_the_app_wrote_itself_makes_nobody_an_owner(tmp_path: Path) -> None:
    path, taken = tmp_path / "claim", list[Claim]()
    path.write_text(token(claims(use="claim", env={}, sub=OTHER), key=b"x" * 32))
    desk = Desk(path, KEYS, MACHINE, taken=taken.append)
    assert (desk.owner, taken) == (None, [])
    desk.claim([a_claim().encode()])
    assert [claim.user_id for claim in taken] == [USER]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_claim_from_the_future_is_genuine(tmp_path: Path) -> None:
    """A spare slept for a week: its clock lags when it is claimed."""
    desk = Desk(tmp_path / "x" / "claim", KEYS, MACHINE, taken=lambda _: None, clock=lambda: time.time() - 7 * 86_400)
    desk.claim([a_claim().encode()])
    assert desk.owner is not None
    with pytest.raises(Taken):
        desk.claim([a_claim(sub=OTHER).encode()])


def test_what_cannot_be_kept_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    desk = Desk(tmp_path / "file" / "claim", KEYS, MACHINE, taken=lambda _: None)
    with pytest.raises(FileExistsError):
        desk.claim([a_claim().encode()])
    assert desk.owner is None


def test_two_claims_in_one_request_are_none(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "claim", KEYS, MACHINE, taken=lambda _: None)
    with pytest.raises(Refused, match="several"):
        desk.claim([a_claim().encode()] * 2)


async def test_claims_at_once_have_one_winner(start_guard: StartGuard, http: aiohttp.ClientSession) -> None:
    guard = await start_guard(**SPARE)
    words = [a_claim(sub=sub) for sub in (USER, OTHER) * 5]
    answers = await asyncio.gather(*(claimed(http, guard, word) for word in words))
    assert sorted(answers) == [200] * 5 + [409] * 5
    await guard.said("app_ready")  # so that it is not told to stop in the middle of a start
