"""A stand-in for Google's sign-in page: choose an account or name one. No password, no Google."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from localcloud.auth.chooser import chooser_page, mismatch_page

AUTHORIZE_PATH: Final = "/google/o/oauth2/v2/auth"
AVATAR_PATH: Final = "/google/avatar/{email}.svg"
CLIENT_ID: Final = "local.apps.googleusercontent.com"
KNOWN: Final = ("ada@example.com", "grace@example.com", "alan@example.com")
EMAIL: Final = re.compile(r"[^@\s<>\"]+@[^@\s<>\"]+\.[^@\s<>\"]+")
SURNAMES: Final = {"ada": "Ada Lovelace", "grace": "Grace Hopper", "alan": "Alan Turing"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What Google's userinfo would tell."""

    sub: str
    email: str
    name: str
    picture: str
    email_verified: bool = True
    hosted_domain: str | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What Google gives for a code."""

    account: Account
    access_token: str
    refresh_token: str | None


class GoogleRefused(Exception):
    """The code is unknown or was redeemed before."""


class Google:
    """Accounts, the page, and codes that are good once. Any e-mail address has an account."""

    def __init__(self, *, origin: str, callback_url: str) -> None:
        self._origin = origin
        self._callback_url = callback_url
        self._scripted: dict[str, Account] = {}
        self._codes: dict[str, Grant] = {}

    def account(self, email: str) -> Account:
        """The account of this address, the same one each time."""
        email = email.strip().lower()
        if email in self._scripted:
            return self._scripted[email]
        local = email.partition("@")[0]
        return Account(
            # Google's subs are 21 digits; this one survives a restart without being stored.
            sub="1" + str(int(hashlib.sha256(email.encode()).hexdigest(), 16))[:20],
            email=email,
            name=SURNAMES.get(local) or re.sub(r"[._+-]+", " ", local).title(),
            picture=self._origin + AVATAR_PATH.format(email=email),
        )

    def script(self, account: Account) -> None:
        """From now on this is what Google says of that address."""
        self._scripted[account.email] = account

    def redeem(self, code: str) -> Grant:
        """The exchange of a code, server to server in real life.

        Raises:
            GoogleRefused: unknown, or redeemed before.
        """
        try:
            return self._codes.pop(code)
        except KeyError as error:
            raise GoogleRefused from error

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(AUTHORIZE_PATH, self._show)
        router.add_post(AUTHORIZE_PATH, self._chosen)
        router.add_get(AVATAR_PATH, self._avatar)

    async def _show(self, request: web.Request) -> web.Response:
        query = request.query
        if query.get("redirect_uri") != self._callback_url or query.get("client_id") != CLIENT_ID:
            return mismatch_page(query.get("redirect_uri", ""))
        hint = query.get("login_hint", "").strip()
        if EMAIL.fullmatch(hint):  # so that a client without hands can sign in by following redirects
            return self._granted(request, hint)
        return chooser_page([self.account(email) for email in KNOWN], action=request.path_qs, typed=hint)

    async def _chosen(self, request: web.Request) -> web.Response:
        if request.query.get("redirect_uri") != self._callback_url:
            return mismatch_page(request.query.get("redirect_uri", ""))
        form = await request.post()
        if "cancel" in form:
            return self._back(request, {"error": "access_denied"})
        email = str(form.get("email", "")).strip()
        if not EMAIL.fullmatch(email):
            accounts = [self.account(known) for known in KNOWN]
            problem = "Enter an e-mail address, like ada@example.com."
            return chooser_page(accounts, action=request.path_qs, typed=email, problem=problem)
        return self._granted(request, email)

    def _granted(self, request: web.Request, email: str) -> web.Response:
        code = "4/" + secrets.token_urlsafe(32)
        offline = request.query.get("access_type") == "offline"
        self._codes[code] = Grant(
            account=self.account(email),
            access_token="ya29." + secrets.token_urlsafe(32),
            refresh_token="1//" + secrets.token_urlsafe(32) if offline else None,
        )
        return self._back(request, {"code": code, "scope": request.query.get("scope", ""), "authuser": "0"})

    def _back(self, request: web.Request, answer: dict[str, str]) -> web.Response:
        query = urlencode({"state": request.query.get("state", ""), **answer})
        return web.Response(status=302, headers={"Location": f"{self._callback_url}?{query}"})

    async def _avatar(self, request: web.Request) -> web.Response:
        email = request.match_info["email"]
        hue = int(hashlib.sha256(email.encode()).hexdigest()[:4], 16) % 360
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96">'
            f'<rect width="96" height="96" fill="hsl({hue} 45% 36%)"/>'
            '<text x="48" y="64" font-family="system-ui,sans-serif" font-size="46" text-anchor="middle" fill="#fff">'
            f"{escape(email[:1].upper())}</text></svg>"
        )
        return web.Response(text=svg, content_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})
