"""How often one may ask, through the whole system: in the fast lane, in the slow one, and at sign-in."""

import asyncio
from collections.abc import Iterator

import httpx
import pytest

from tests.journeys.conftest import APP, Visit
from tests.journeys.test_signing_in import assert_problem
from tests.journeys.visitor import FETCH, PAGE
from tests.parts.plain_http import NO_TLS
from tests.parts.system import System, dev_system

TIGHT = {"RATE_FACTOR": "0.03", "SIGN_IN_PER_MINUTE": "3", "CLIENT_IP_HEADER": "X-Edge-Client"}


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Thirty requests at once and three a second for each user; six sign-in requests at once for each address."""
    with dev_system(tmp_path_factory.mktemp("tight") / "data", app_command=APP, environment=TIGHT) as system:
        yield system


@pytest.mark.parametrize("lane", ["fast", "core"])
async def test_a_script_gone_wild_waits_and_nobody_else_does(tight: System, visit: Visit, lane: str) -> None:
    """It is told by how long; its neighbours notice nothing."""
    ada, grace = await asyncio.gather(visit("ada", at=tight), visit("grace", at=tight))
    fields = FETCH if lane == "fast" else {**FETCH, "Connection": "keep-alive, X-Unusual"}
    answers = [await ada.http.get("/env", headers=fields) for _ in range(60)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert 10 <= len(refused) < 60
    for answer in refused:
        assert_problem(answer, 429)
        assert int(answer.headers["Retry-After"]) >= 1
        assert answer.headers["RateLimit-Policy"] == '"user";q=30;w=10'
        assert answer.headers["RateLimit"].startswith('"user";r=0;t=')
    async with asyncio.timeout(20):  # a token may have come back since, or two
        while (page := await ada.http.get("/env", headers=PAGE)).status_code == 200:
            pass
    assert (page.status_code, page.headers["Content-Type"].partition(";")[0]) == (429, "text/html")
    assert (await grace.env())["USER_EMAIL"] == grace.email


async def test_an_address_signs_in_so_often_and_no_more(tight: System) -> None:
    """A botnet of one: nothing is asked of Supabase, and other addresses come in."""
    async with httpx.AsyncClient(base_url=tight.public, trust_env=False, verify=NO_TLS, headers=PAGE) as http:

        async def asks(client: str) -> httpx.Response:
            http.cookies.clear()  # or the guard against loops, which is the browser's, answers first
            return await http.get("/auth/login", headers={"X-Edge-Client": client})

        answers = [await asks("192.0.2.7") for _ in range(7)]
        assert [answer.status_code for answer in answers] == [303] * 6 + [429]
        assert answers[0].headers["RateLimit"].startswith('"sign-in";r=5;')
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert (await asks("192.0.2.8")).status_code == 303
        six = [await asks(f"2001:db8:0:1::{number}") for number in range(7)]
        assert six[-1].status_code == 429


async def test_refusals_are_counted_by_limit(tight: System, visit: Visit) -> None:
    async with httpx.AsyncClient(base_url=tight.public, trust_env=False, verify=NO_TLS, headers=PAGE) as http:
        for _ in range(8):
            http.cookies.clear()
            await http.get("/auth/login", headers={"X-Edge-Client": "192.0.2.99"})
    headers = {"Authorization": f"Bearer {tight.admin_token}"}
    async with httpx.AsyncClient(base_url=tight.admin, trust_env=False, verify=NO_TLS, headers=headers) as admin:
        metrics = (await admin.get("/metrics")).text
    assert 'jarvis_too_often_total{limit="sign-in"}' in metrics


async def test_who_guesses_at_callbacks_is_slowed_down_too(tight: System) -> None:
    async with httpx.AsyncClient(base_url=tight.public, trust_env=False, verify=NO_TLS, headers=PAGE) as http:
        codes = [
            (await http.get(f"/auth/callback?code=guess{n}&s=x", headers={"X-Edge-Client": "192.0.2.55"})).status_code
            for n in range(9)
        ]
    assert codes[-1] == 429
    assert 429 not in codes[:5]
