"""The operator closes the house for a while: everybody is told so, honestly, and finds everything as it was."""

import httpx

from tests.journeys.conftest import Visit
from tests.journeys.visitor import Operator
from tests.parts.plain_http import NO_TLS
from tests.parts.system import System, until


async def test_under_maintenance_everybody_hears_why_and_health_checks_still_pass(
    dev: System, visit: Visit, operator: Operator
) -> None:
    ada = await visit("ada", at=dev)
    assert (await ada.http.get("/env")).status_code == 200

    async def flip(on: bool) -> None:
        told = await operator.http.put(
            "/v1/switches/maintenance", json={"is_on": on, "message": "Back at <noon>." if on else ""}
        )
        assert told.status_code == 200, told.text

    await flip(True)
    try:

        async def closed() -> bool:
            return (await ada.http.get("/env")).status_code == 503

        await until(closed, what="closed on the fast lane too")
        page = await ada.http.get("/env", headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"})
        assert (page.status_code, "Back at &lt;noon&gt;." in page.text) == (503, True)
        assert (page.headers["Cache-Control"], page.headers["Retry-After"]) == ("no-store", "30")
        call = await ada.http.get("/env", headers={"Accept": "application/json"})
        assert (call.status_code, call.json()["detail"].endswith("Back at <noon>.")) == (503, True)
        async with httpx.AsyncClient(base_url=dev.public, trust_env=False, verify=NO_TLS) as stranger:
            for path, status in [
                ("/", 503),
                ("/auth/login", 503),
                ("/_gateway/healthz", 200),
                ("/_gateway/readyz", 200),
            ]:
                assert (await stranger.get(path)).status_code == status, path
    finally:
        await flip(False)

    async def open_again() -> bool:
        return (await ada.http.get("/env")).status_code == 200

    await until(open_again)
