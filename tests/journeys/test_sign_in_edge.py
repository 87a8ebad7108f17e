"""Sign-in at its edges, through the whole system: what others write into our links, and whose address counts."""

from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.journeys.conftest import APP
from tests.journeys.visitor import PAGE, Visitor
from tests.parts.plain_http import NO_TLS
from tests.parts.system import System, dev_system


@pytest.mark.parametrize(
    "query",
    [
        "error=access_denied&error_code=user_banned&error_description=User+is+banned",
        "error=server_error&error_code=unexpected_failure&error_description=<script>alert(1)</script>",
        "error=invalid_request&error_code=bad_oauth_state&error_description=OAuth+state+is+invalid",
        "error=<script>alert(1)</script>",
    ],
)
async def test_where_supabase_loses_its_way_people_read_why(dev: System, query: str) -> None:
    """It sends them to `/?error=…`: they get plain words of ours, and nothing of what the link says."""
    async with httpx.AsyncClient(base_url=dev.public, trust_env=False, verify=NO_TLS, headers=PAGE) as stranger:
        plain = await stranger.get("/")
        told = await stranger.get(f"/?{query}")
    assert (told.status_code, told.headers["Content-Type"].partition(";")[0]) == (200, "text/html")
    assert told.text != plain.text
    assert "alert(1)" not in told.text
    assert "OAuth state" not in told.text


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/%0d%0aLocation:%20https://evil.example/",
        "/\r\nSet-Cookie: jarvis=evil",
        "http://127.0.0.1@evil.example/",
        "/auth/login?next=//evil.example",
    ],
)
async def test_a_link_to_sign_in_never_leads_elsewhere(dev: System, wanted: str) -> None:
    """Whoever wrote the link: every hop is ours, Supabase's or Google's, and the last one ours."""
    async with Visitor(f"ada-{uuid4().hex[:8]}@example.com", dev.public) as ada:
        # Signed in already, the answer is one redirect; a Machine is not needed for where it leads.
        assert (await ada.sign_in("/_gateway/instance")).status_code == 200
        straight = await ada.http.get("/auth/login", params={"next": wanted}, follow_redirects=False)
        assert straight.status_code in (302, 303)
        led = urlsplit(straight.headers["Location"])
        assert (led.scheme, led.netloc) == ("", "")
        assert led.path.startswith("/")
        assert not straight.headers["Location"].startswith(("//", "/\\"))
        assert "jarvis=evil" not in str(straight.headers.get_list("set-cookie"))


@pytest.mark.parametrize("wanted", ["//evil.example/", "https://evil.example/", "/\\evil.example"])
async def test_trying_again_never_leads_elsewhere(dev: System, wanted: str) -> None:
    """The button of the waiting room goes on to where the page was, and nowhere that somebody wrote into the link."""
    async with Visitor(f"ada-{uuid4().hex[:8]}@example.com", dev.public) as ada:
        assert (await ada.sign_in("/_gateway/instance")).status_code == 200
        headers = {"Origin": dev.public}
        again = await ada.http.post("/_gateway/retry", params={"next": wanted}, headers=headers, follow_redirects=False)
        assert (again.status_code, again.headers["Location"]) == (303, "/")


@pytest.fixture(scope="module")
def edged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Behind an edge that names the client, at a Supabase project that believes us whom we name."""
    environment = {"CLIENT_IP_HEADER": "X-Edge-Client"}
    with dev_system(tmp_path_factory.mktemp("edged") / "data", app_command=APP, environment=environment) as system:
        yield system


@pytest.mark.parametrize("believes", [True, False])
async def test_everybody_signs_in_on_their_own_account_at_supabase(edged: System, believes: bool) -> None:
    """Supabase counts /token by address. It hears whose (Sb-Forwarded-For), so a rush does not lock us all out."""
    async with httpx.AsyncClient(base_url=edged.auth, trust_env=False, verify=NO_TLS) as strings:
        # Once empty a bucket stays so, however slow this machine is.
        project = {"ip_forwarding": believes, "rate_burst": 10, "rate_per_hour": 1}
        (await strings.patch("/_local/project", json=project)).raise_for_status()
        await strings.delete("/_local/requests")
    statuses = []
    for number in range(12):
        async with Visitor(f"crowd-{uuid4().hex[:8]}@example.com", edged.public) as somebody:
            somebody.http.headers["X-Edge-Client"] = f"198.51.100.{number}"
            statuses.append((await somebody.sign_in("/_gateway/instance")).status_code)
    assert statuses.count(200) == (12 if believes else 10), statuses
