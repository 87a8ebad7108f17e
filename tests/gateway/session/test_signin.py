"""Signing in through a local Supabase Auth, with real sockets, cookies and redirects."""

import asyncio
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import pytest

from localcloud.database import Database
from tests.gateway.session.stage import ADA, GRACE, Browser, Cloud, Replica, body, replica, rows, until

CODE = "5125296e-5a12-44e1-9d79-1d8a08d08023"  # the form of one; no flow has it


async def test_a_deep_link_survives_signing_in(browser: Browser, cloud: Cloud) -> None:
    """Who opens a bookmark and has to sign in first ends at the bookmark, by one call to Supabase."""
    page = await browser.sign_in(ADA, "/notes/7?tab=a%20b")
    assert (page.status_code, body(page)["email"], body(page)["at"]) == (200, ADA, "/notes/7?tab=a%20b")
    assert await cloud.calls("pkce") == 1


async def test_nobody_is_sent_to_a_supabase_that_does_not_answer(browser: Browser, cloud: Cloud) -> None:
    """Sign-in is down: our page says so, where the browser would have shown somebody else's error."""
    await cloud.fault("/auth/v1/*", kind="status", status=503, times=None)
    for _ in range(3):
        told = await browser.get("/auth/login", params={"next": "/notes/7"})
        assert (told.status_code, body(told)["kind"]) == (503, "unavailable")
    await cloud.heal()
    assert (await cloud.pull("GET", "/requests"))["GET /auth/v1/health"]["count"] == 1
    cloud.clock.pass_(seconds=3)
    for _ in range(3):
        assert (await browser.get("/auth/login")).status_code == 303
    assert (await cloud.pull("GET", "/requests"))["GET /auth/v1/health"]["count"] == 2


async def test_a_supabase_without_a_word_on_its_health_is_no_reason_to_send_nobody(
    browser: Browser, cloud: Cloud
) -> None:
    """A refusal is an answer: only silence is an outage."""
    await cloud.fault("/auth/v1/health", kind="status", status=404, times=None)
    assert (await browser.get("/auth/login")).status_code == 303


async def test_no_page_of_sign_in_is_cached_or_leaks_its_address(browser: Browser) -> None:
    """Neither a shared cache nor the next site learns a code, a state or a session."""
    first = await browser.get("/auth/login")
    back = await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={ADA}")
    for answer in (first, await browser.get(back)):
        assert answer.status_code == 303
        assert answer.headers["Cache-Control"] == "private, no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_the_session_cookie_is_for_the_server_only(browser: Browser) -> None:
    """No script reads it, no other site's request carries it, and it holds no token."""
    back = await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={ADA}")
    answer = await browser.get(back)
    jar: SimpleCookie = SimpleCookie()
    for value in answer.headers.get_list("Set-Cookie"):
        jar.load(value)
    session = jar["jarvis"]
    assert (session["httponly"], session["samesite"], session["path"], session["domain"]) == (True, "Lax", "/", "")
    assert len(session.value) == 43
    assert [name for name in jar if name.startswith("jarvis-flow-") and jar[name]["max-age"] == "0"]


async def test_on_https_cookies_are_bound_to_the_host(cloud: Cloud) -> None:
    """Over TLS the names carry `__Host-` and the cookies are Secure, so nobody else can plant them."""
    async with replica(cloud, origin="https://my-jarvis.test") as gateway, Browser(gateway.origin) as browser:
        answer = await browser.get("/auth/login")
    for value in answer.headers.get_list("Set-Cookie"):
        assert value.startswith("__Host-jarvis-")
        assert "; Secure" in value
        assert "Domain" not in value


async def test_sign_in_asks_google_with_pkce_and_a_state_of_its_own(browser: Browser, cloud: Cloud) -> None:
    """A planted code is worth nothing: it belongs to another browser's challenge."""
    answer = await browser.get("/auth/login", params={"login_hint": ADA, "prompt": "select_account", "nonce": "evil"})
    url = urlsplit(answer.headers["Location"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{cloud.auth.url}/auth/v1/authorize"
    assert (query["provider"], query["code_challenge_method"], len(query["code_challenge"])) == ("google", "s256", 43)
    assert query["redirect_to"].startswith(f"{browser.home}/auth/callback?s=")
    assert (query["login_hint"], query["prompt"], "nonce" in query) == (ADA, "select_account", False)


async def test_two_tabs_sign_in_at_once(browser: Browser) -> None:
    """Each tab ends where it wanted to go, in whatever order they come back."""
    first = await browser.stop_before_callback(f"{browser.home}/auth/login?next=/one&login_hint={ADA}")
    second = await browser.stop_before_callback(f"{browser.home}/auth/login?next=/two&login_hint={ADA}")
    assert body(await browser.follow(second))["at"] == "/two"
    assert body(await browser.follow(first))["at"] == "/one"
    assert browser.cookies_named("jarvis-flow-") == []


async def test_many_restored_tabs_stay_within_a_cookie_header(browser: Browser) -> None:
    """A window with twelve tabs and long links does not sign itself out of every server by its cookies' size."""
    for number in range(12):
        await browser.get("/auth/login", params={"next": f"/{number}/" + "x" * 1400, "login_hint": ADA})
        browser.http.cookies.delete("jarvis-loop")  # tabs come at once, so none knows of the others
    held = [c for c in browser.http.cookies.jar if c.name.startswith("jarvis-flow-")]
    assert 1 <= len(held) <= 5
    assert sum(len(cookie.value or "") for cookie in held) < 4100
    assert (await browser.sign_in()).status_code == 200


async def test_who_is_signed_in_already_goes_straight_on(browser: Browser, cloud: Cloud) -> None:
    """A stale link to sign-in costs nothing."""
    await browser.sign_in()
    answer = await browser.get("/auth/login?next=/here")
    assert answer.headers["Location"] == "/here"
    assert await cloud.calls("pkce") == 1


@pytest.mark.parametrize("wanted", ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)"])
async def test_signing_in_never_leads_off_our_origin(browser: Browser, wanted: str) -> None:
    """A link that somebody else wrote cannot use us to send people to their site."""
    assert body(await browser.sign_in(ADA, wanted))["at"] == "/"


class TestTheCallback:
    """What comes back from Google may be anything."""

    @pytest.mark.parametrize(
        "query",
        ["", "?s=" + "A" * 32, "?s=short&code=" + CODE, "?code=" + CODE, "?error=access_denied"],
    )
    async def test_made_up_callbacks_cost_supabase_nothing(self, browser: Browser, cloud: Cloud, query: str) -> None:
        """Our calls to /token share one rate limit; strangers must not be able to spend it."""
        answer = await browser.get("/auth/callback" + query)
        assert (answer.status_code, body(answer)["kind"]) == (400, "start_again")
        assert await cloud.calls("pkce") == 0

    async def test_another_browsers_callback_is_refused(self, browser: Browser, gateway: Replica, cloud: Cloud) -> None:
        """Nobody can be signed in as somebody else by opening that person's link (login CSRF)."""
        back = await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={ADA}")
        async with Browser(gateway.origin) as victim:
            await victim.get("/auth/login")
            assert body(await victim.get(back))["kind"] == "start_again"
        assert await cloud.calls("pkce") == 0

    async def test_a_state_that_differs_in_its_end_is_refused(self, browser: Browser, cloud: Cloud) -> None:
        """The cookie's name shows the first letters of the state; they alone open nothing."""
        back = httpx.URL(await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={ADA}"))
        state = back.params["s"]
        wrong = state[:-1] + ("A" if state[-1] != "A" else "B")
        assert body(await browser.get(str(back.copy_set_param("s", wrong))))["kind"] == "start_again"
        assert await cloud.calls("pkce") == 0
        assert (await browser.follow(str(back))).status_code == 200

    @pytest.mark.parametrize("code", ["", "x", CODE + "x", "'; drop table", CODE.replace("-", "")])
    async def test_a_code_of_another_form_is_not_worth_a_call(self, browser: Browser, cloud: Cloud, code: str) -> None:
        """Even in the right browser: Supabase's codes are UUIDs."""
        back = httpx.URL(await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={ADA}"))
        assert body(await browser.get(str(back.copy_set_param("code", code))))["kind"] == "start_again"
        assert await cloud.calls("pkce") == 0

    async def test_a_planted_code_is_refused_by_its_challenge(self, browser: Browser, gateway: Replica) -> None:
        """The attacker's code in the victim's own callback: Supabase refuses it, and the words are calm."""
        async with Browser(gateway.origin) as attacker:
            theirs = httpx.URL(await attacker.stop_before_callback(f"{browser.home}/auth/login?login_hint={GRACE}"))
        ours = httpx.URL(await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={ADA}"))
        answer = await browser.get(str(ours.copy_set_param("code", theirs.params["code"])))
        assert (answer.status_code, body(answer)["kind"]) == (400, "mixed_up")
        assert browser.session_id == ""

    async def test_cancelling_at_google_keeps_the_way_back(self, browser: Browser) -> None:
        """Changing one's mind twice still ends at the bookmark."""
        back = httpx.URL(await browser.stop_before_callback(f"{browser.home}/auth/login?next=/n&login_hint={ADA}"))
        cancelled = back.copy_remove_param("code").copy_merge_params(
            {"error": "access_denied", "error_description": "<b>no</b>"}
        )
        answer = await browser.get(str(cancelled))
        assert body(answer) == {"kind": "cancelled", "retry": "/auth/login?next=/n"}
        assert "no</b>" not in answer.text
        assert browser.cookies_named("jarvis-flow-") == []

    @pytest.mark.parametrize(
        ("project", "kind", "status"),
        [({"disable_signup": True}, "sign_ups_closed", 403), ({"google_exchange_fails": True}, "failed", 502)],
    )
    async def test_supabases_refusals_are_told_in_words(
        self, browser: Browser, cloud: Cloud, project: dict[str, bool], kind: str, status: int
    ) -> None:
        """The reason shown is ours, picked by Supabase's code."""
        await cloud.pull("PATCH", "/project", project)
        answer = await browser.sign_in()
        assert (answer.status_code, body(answer)["kind"]) == (status, kind)

    async def test_ten_minutes_at_google_are_too_many(self, browser: Browser, cloud: Cloud) -> None:
        """A sign-in left open is not finished hours later, perhaps by somebody else at the desk."""
        back = await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={ADA}")
        cloud.clock.pass_(minutes=11)
        assert body(await browser.get(back))["kind"] == "start_again"
        assert await cloud.calls("pkce") == 0

    async def test_six_minutes_are_too_many_for_supabase(self, browser: Browser, cloud: Cloud) -> None:
        """Its clock of five minutes starts when the person leaves us."""
        back = await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={ADA}")
        cloud.clock.pass_(minutes=6)
        assert body(await browser.get(back))["kind"] == "too_slow"

    async def test_opening_a_callback_twice_does_no_harm(self, browser: Browser, cloud: Cloud) -> None:
        """The back button after signing in leads on, not to an error."""
        back = await browser.stop_before_callback(f"{browser.home}/auth/login?next=/n&login_hint={ADA}")
        await browser.get(back)
        assert (await browser.get(back)).headers["Location"] == "/"
        assert await cloud.calls("pkce") == 1

    async def test_a_code_used_twice_leads_on_who_is_signed_in(self, browser: Browser) -> None:
        """A browser that kept its attempt's cookie (a restored tab) is not told off either."""
        back = await browser.stop_before_callback(f"{browser.home}/auth/login?next=/n&login_hint={ADA}")
        [flow] = browser.cookies_named("jarvis-flow-")
        kept = browser.cookie(flow) or ""
        await browser.get(back)
        browser.http.cookies.set(flow, kept, domain="127.0.0.1", path="/")
        assert (await browser.get(back)).headers["Location"] == "/n"

    @pytest.mark.parametrize(
        ("fault", "kind", "status"),
        [
            ({"kind": "status", "status": 429}, "busy", 503),
            ({"kind": "status", "status": 503}, "unavailable", 503),
            ({"kind": "reset"}, "unavailable", 503),
            ({"kind": "status", "status": 500}, "failed", 502),
        ],
    )
    async def test_trouble_at_supabase_is_told_and_can_be_retried(
        self, browser: Browser, cloud: Cloud, fault: dict[str, object], kind: str, status: int
    ) -> None:
        """Sign-in says why it cannot, and works again as soon as Supabase does."""
        await cloud.fault("/auth/v1/token*", **fault)
        answer = await browser.sign_in(ADA, "/n")
        assert (answer.status_code, body(answer)["kind"], body(answer)["retry"]) == (
            status,
            kind,
            "/auth/login?next=/n",
        )
        assert (await browser.sign_in()).status_code == 200

    async def test_our_own_database_being_away_is_told_too(
        self, browser: Browser, cloud: Cloud, database: Database
    ) -> None:
        """Signed in at Google, but nowhere to write it down."""
        admin = await asyncpg.connect(database.admin_dsn)
        await admin.execute("alter table gateway.sessions rename to sessions_away")
        answer = await browser.sign_in(ADA, "/n")
        assert (answer.status_code, body(answer)) == (503, {"kind": "unavailable", "retry": "/auth/login?next=/n"})
        await admin.execute("alter table gateway.sessions_away rename to sessions")
        await admin.close()
        assert (await browser.sign_in()).status_code == 200


class TestSharedBrowsers:
    """A family's tablet: what one leaves behind, the next must not meet."""

    async def test_another_user_signing_in_clears_what_the_first_left(self, browser: Browser, gateway: Replica) -> None:
        """Service workers and storage of the first user's Machine end, and so does their session."""
        await browser.sign_in(ADA)
        adas = browser.session_id
        back = await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={GRACE}")
        answer = await browser.get(back)
        assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
        assert body(await browser.get("/"))["email"] == GRACE
        assert gateway.room.sessions.peek(adas) is None
        assert (
            await browser.get(
                "/",
                headers={"Cookie": f"jarvis={adas}"},
            )
        ).status_code == 401

    async def test_the_same_user_signing_in_again_keeps_theirs(self, browser: Browser) -> None:
        """Signing in again, even after the session ran out, does not cost a user what their App stored."""
        await browser.sign_in(ADA)
        for _ in range(2):
            back = await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={ADA}")
            assert "Clear-Site-Data" not in (await browser.get(back)).headers
            browser.http.cookies.delete("jarvis")

    async def test_another_user_after_the_session_ran_out_clears_too(self, browser: Browser) -> None:
        """The browser remembers by a keyed hash who was here last."""
        await browser.sign_in(ADA)
        browser.http.cookies.delete("jarvis")
        back = await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={GRACE}")
        assert (await browser.get(back)).headers["Clear-Site-Data"] == '"cache", "storage"'

    async def test_another_users_session_is_enough_without_the_mark(self, browser: Browser) -> None:
        """A Machine's page may have removed our mark; the session itself still tells who was here."""
        await browser.sign_in(ADA)
        browser.http.cookies.delete("jarvis-last")
        back = await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={GRACE}")
        assert (await browser.get(back)).headers["Clear-Site-Data"] == '"cache", "storage"'

    async def test_two_marks_tell_of_somebody_else(self, browser: Browser) -> None:
        """One of them was planted, perhaps to have us keep what the other's user left."""
        await browser.sign_in(ADA)
        browser.http.cookies.set("jarvis-last", "planted", domain="127.0.0.1", path="/auth")
        browser.http.cookies.delete("jarvis")
        back = await browser.stop_before_callback(f"{browser.home}/auth/login?login_hint={ADA}")
        assert (await browser.get(back)).headers["Clear-Site-Data"] == '"cache", "storage"'

    async def test_a_session_id_is_never_reused(self, browser: Browser) -> None:
        """An id planted before signing in is worth nothing afterwards (session fixation)."""
        browser.http.cookies.set("jarvis", "A" * 43, domain="127.0.0.1", path="/")
        await browser.sign_in()
        assert browser.session_id != "A" * 43


class TestSigningOut:
    async def test_sign_out_ends_the_session_everywhere(
        self, browser: Browser, cloud: Cloud, database: Database
    ) -> None:
        """Cookie, row, memory, Supabase's own session and what the Machine stored in the browser: all gone."""
        await browser.sign_in()
        session = browser.session_id
        assert len(await rows(database)) == 1
        answer = await browser.sign_out()
        assert (answer.status_code, answer.headers["Location"]) == (303, "/?signed-out")
        assert await rows(database) == []
        assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
        assert browser.cookies_named("jarvis") == []
        replayed = await browser.get("/", headers={"Cookie": f"jarvis={session}"})
        assert (replayed.status_code, body(replayed)["reason"]) == (401, "unknown")

        async def supabase_knows() -> bool:
            return "POST /auth/v1/logout" in await cloud.pull("GET", "/requests")

        await until(supabase_knows)

    async def test_sign_out_works_while_supabase_is_down(self, browser: Browser, cloud: Cloud) -> None:
        """Leaving must always be possible."""
        await browser.sign_in()
        await cloud.fault("/auth/v1/*", kind="status", status=503, times=None)
        assert (await browser.sign_out()).status_code == 303

    async def test_without_a_session_it_just_clears(self, browser: Browser) -> None:
        """Signing out twice is no error."""
        assert (await browser.sign_out()).status_code == 303

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Origin": "https://evil.test"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "none"},
            {"Sec-Fetch-Site": "cross-site", "Origin": "{ours}"},
            {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.test"},
        ],
    )
    async def test_no_other_site_can_sign_anybody_out(self, browser: Browser, headers: dict[str, str]) -> None:
        """The request must say that it comes from us, and nothing in it may say otherwise."""
        await browser.sign_in()
        sent = {name: value.format(ours=browser.home) for name, value in headers.items()}
        assert (await browser.http.post("/auth/logout", headers=sent)).status_code == 403
        assert (await browser.get("/")).status_code == 200

    async def test_sec_fetch_site_alone_is_enough(self, browser: Browser) -> None:
        """Browsers leave out Origin in some privacy modes."""
        await browser.sign_in()
        assert (await browser.http.post("/auth/logout", headers={"Sec-Fetch-Site": "same-origin"})).status_code == 303


async def test_going_round_in_circles_stops_at_a_page(browser: Browser, cloud: Cloud) -> None:
    """A browser without our cookies is not bounced between us and Google for ever; its next click works."""
    for _ in range(5):
        assert (await browser.get("/auth/login?next=/n")).status_code == 303
    answer = await browser.get("/auth/login?next=/n")
    assert (answer.status_code, body(answer)["kind"]) == (429, "loop")
    assert (await browser.get("/auth/login?next=/n")).status_code == 303


async def test_five_slow_sign_ins_are_no_circle(browser: Browser, cloud: Cloud) -> None:
    """Only haste counts."""
    for _ in range(8):
        assert (await browser.get("/auth/login")).status_code == 303
        cloud.clock.pass_(seconds=15)


async def test_sixty_people_sign_in_at_once_and_nobody_becomes_another(cloud: Cloud, gateway: Replica) -> None:
    """Supabase's library mixes users in a shared client; ours never shares one."""
    cloud.auth.project.rate_burst = 100
    await cloud.pull("DELETE", "/requests")

    async def one(number: int) -> tuple[str, str]:
        async with Browser(gateway.origin) as browser:
            email = f"user{number}@example.com"
            return email, body(await browser.sign_in(email))["email"]

    for wanted, got in await asyncio.gather(*(one(number) for number in range(60))):
        assert wanted == got
