"""A person at their account pages: another origin, cookies of its own, forms filled in as a browser does."""

import re
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from tests.parts.plain_http import NO_TLS

BROWSER: Final = {
    "Accept": "text/html",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Dest": "document",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0",
}


class Loopback(httpx.AsyncHTTPTransport):
    """Takes every `*.localhost` for this machine, as browsers do and name servers may not."""

    def __init__(self) -> None:
        super().__init__(verify=NO_TLS)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host.endswith(".localhost"):
            request = httpx.Request(
                request.method,
                request.url.copy_with(host="127.0.0.1"),  # the Host header keeps the name
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions,
            )
        return await super().handle_async_request(request)


def account_of(public: str) -> str:
    """The account origin that belongs to a public origin on this machine."""
    return f"http://account.localhost:{urlsplit(public).port}"


class AccountVisitor:
    """Somebody with a browser before the account origin."""

    def __init__(self, email: str, public: str) -> None:
        self.email, self.origin = email, account_of(public)
        self.http = httpx.AsyncClient(
            base_url=self.origin, follow_redirects=True, timeout=45, transport=Loopback(), headers=BROWSER
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def sign_in(self, next_path: str = "/") -> httpx.Response:
        return await self.http.get("/auth/login", params={"next": next_path, "login_hint": self.email})

    async def page(self, path: str) -> str:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def csrf(self) -> str:
        """The token that this session's forms carry."""
        found = re.search(r'name="csrf" value="([^"]+)"', await self.page("/"))
        assert found
        return found[1]

    async def press(self, path: str, *, follow: bool = True, **fields: Any) -> httpx.Response:
        """Send the form of `path`, as the page that shows it would."""
        return await self.send(path, {"csrf": await self.csrf(), **fields}, follow=follow)

    async def send(self, path: str, fields: dict[str, Any], *, follow: bool = False, **headers: str) -> httpx.Response:
        """Send a form with whatever is given, from our own origin unless `headers` say otherwise."""
        usual = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        sent = {name: value for name, value in {**usual, **headers}.items() if value}
        return await self.http.post(path, data=fields, headers=sent, follow_redirects=follow)

    async def new_token(self, *scopes: str) -> str:
        """A personal access token, as the page shows it once."""
        answer = await self.press("/tokens/new", name="a program", days="90", scope=list(scopes) or ["app"])
        found = re.search(r"jv_pat_[a-z0-9]{12}_[A-Za-z0-9_-]{43}", answer.text)
        assert found, answer.text
        return found[0]
