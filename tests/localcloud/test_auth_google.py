"""The stand-in for Google's page, walked without a browser."""

from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest
from playwright.async_api import async_playwright

from tests.parts.browser import PageLog, find_chromium
from tests.parts.local_auth import (
    RETURN_TO,
    ShiftedClock,
    auth_for_test,
    challenge_of,
    fragment_of,
    new_verifier,
    person_at,
    query_of,
)


@pytest.fixture
def clock():
    return ShiftedClock()


@pytest.fixture
async def ada(tmp_path, clock):
    async with auth_for_test(tmp_path, now=clock) as auth, person_at(auth) as person:
        yield person


class Page(HTMLParser):
    """Forms of a page, each its action and its named controls; and every address the page would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[dict] = []
        self.fetched: list[str] = []
        self.labels: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        match tag:
            case "form":
                self.forms.append({"action": attributes["action"], "method": attributes["method"], "controls": []})
            case "button" | "input":
                self.forms[-1]["controls"].append(attributes)
            case "label":
                self.labels.add(attributes["for"])
            case "img" | "script" | "iframe":
                self.fetched.append(attributes.get("src", ""))
            case "link":
                self.fetched.append(attributes.get("href", ""))

    def form_with(self, **wanted):
        return next(f for f in self.forms if any(wanted.items() <= c.items() for c in f["controls"]))


async def chooser(ada, **query):
    verifier = new_verifier()
    response = await ada.authorize(
        code_challenge=challenge_of(verifier), code_challenge_method="s256", redirect_to=f"{RETURN_TO}?s=1", **query
    )
    return response.headers["Location"], verifier


async def submit(ada, page_url, form, **data):
    response = await ada.http.post(urljoin(page_url, form["action"]), data=data)
    assert response.status_code == 302
    return await ada.http.get(response.headers["Location"])


async def test_choosing_a_known_account_signs_in(ada):
    """Click on Ada, and be Ada."""
    url, verifier = await chooser(ada)
    page = Page((await ada.http.get(url)).text)
    back = await submit(ada, url, page.form_with(name="email", value="ada@example.com"), email="ada@example.com")
    code = query_of(back.headers["Location"])["code"]
    answer = (await ada.token("pkce", {"auth_code": code, "code_verifier": verifier})).json()
    assert answer["user"]["email"] == "ada@example.com"


async def test_any_address_may_be_typed(ada):
    url, verifier = await chooser(ada)
    page = Page((await ada.http.get(url)).text)
    back = await submit(ada, url, page.form_with(id="email"), email="  New.Person@Example.com ")
    code = query_of(back.headers["Location"])["code"]
    answer = (await ada.token("pkce", {"auth_code": code, "code_verifier": verifier})).json()
    assert (answer["user"]["email"], answer["user"]["user_metadata"]["name"]) == (
        "new.person@example.com",
        "New Person",
    )


async def test_cancel_is_access_denied(ada):
    url, _ = await chooser(ada)
    page = Page((await ada.http.get(url)).text)
    back = await submit(ada, url, page.form_with(name="cancel"), cancel="1")
    told = query_of(back.headers["Location"])
    assert (told["error"], told["s"]) == ("access_denied", "1")
    assert "error_code" not in told
    assert fragment_of(back.headers["Location"])["error"] == "access_denied"


async def test_the_page_is_honest_small_and_self_contained(ada):
    """It says that it is not Google, asks nothing of other hosts, and has a label for its field."""
    url, _ = await chooser(ada, login_hint='ada"><script>')
    response = await ada.http.get(url)
    page = Page(response.text)
    assert "this is not Google" in response.text
    assert len(response.content) < 10_000
    assert all(src.startswith((f"{ada.auth.url}/google/avatar/", "data:")) for src in page.fetched)
    assert page.labels == {"email"}
    assert "<script" not in response.text
    assert page.form_with(id="email")["controls"][0]["value"] == 'ada"><script>'
    assert "color-scheme: light dark" in response.text
    avatar = await ada.http.get(page.fetched[1])
    assert avatar.headers["Content-Type"].startswith("image/svg+xml")


async def test_a_typing_mistake_is_explained_and_kept(ada):
    url, _ = await chooser(ada)
    response = await ada.http.post(url, data={"email": "ada at example"})
    page = Page(response.text)
    assert response.status_code == 400
    assert 'role="alert"' in response.text
    assert page.form_with(id="email")["controls"][0]["value"] == "ada at example"


async def test_a_hinted_address_needs_no_page(ada):
    """So that curl can sign in."""
    url, _ = await chooser(ada, login_hint="grace@example.com", prompt="select_account")
    response = await ada.http.get(url)
    assert response.status_code == 302
    assert "code" in query_of(response.headers["Location"])


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_google_serves_only_its_own_auth_server(ada, method):
    """A foreign `redirect_uri` gets no code, as Google's console would have it."""
    url, _ = await chooser(ada)
    foreign = url.replace("redirect_uri=http%3A%2F%2F127.0.0.1", "redirect_uri=http%3A%2F%2Fevil.test")
    response = await ada.http.request(method, foreign, data={"email": "ada@example.com"})
    assert response.status_code == 400
    assert "redirect_uri_mismatch" in response.text


async def test_a_keyboard_is_enough_in_a_real_browser(ada):
    """Second account, Enter, and on to the gateway: no policy of the page stops the redirects after its form."""
    url, _ = await chooser(ada)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium())
        page = await browser.new_page()
        log = PageLog.of(page, url)
        await page.goto(url)
        assert log.clean
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        async with page.expect_request(lambda request: request.url.startswith(RETURN_TO)) as arrival:
            await page.keyboard.press("Enter")
        assert query_of((await arrival.value).url).keys() == {"code", "s"}
        await browser.close()
    assert [user["email"] for user in (await ada.administer("GET", "/users")).json()["users"]] == ["grace@example.com"]


async def test_offline_access_brings_googles_refresh_token(ada):
    verifier = new_verifier()
    url = await ada.arrive(
        "ada@example.com", code_challenge=challenge_of(verifier), code_challenge_method="s256", access_type="offline"
    )
    answer = (await ada.token("pkce", {"auth_code": query_of(url)["code"], "code_verifier": verifier})).json()
    assert answer["provider_refresh_token"].startswith("1//")
    refreshed = (await ada.refresh(answer["refresh_token"])).json()
    assert not {"provider_token", "provider_refresh_token"} & refreshed.keys()
