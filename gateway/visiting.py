"""The door for operators' visits on the public host: a page that says whose Machine, and a button that opens it.

A link alone opens nothing: programs that look at links for their preview would use it up.
"""

from typing import Final

from aiohttp import web

from gateway.account.forms import BadForm, one, read_form
from gateway.errors import of_page
from gateway.pages.render import Pages
from gateway.session.origin import check_origin
from gateway.session.signin import SignIn
from gateway.session.visits import Visits

OVER_TITLE: Final = "This link is good no more"
OVER_WORDS: Final = "A visit is opened once, within five minutes of being asked for. Ask the admin API for another one."


class Visiting:
    """Handlers of `/auth/visit`. Holds no state."""

    def __init__(self, visits: Visits, signin: SignIn, pages: Pages, *, public_origin: str) -> None:
        self._visits, self._signin, self._pages, self._origin = visits, signin, pages, public_origin

    async def ask(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET /auth/visit?ticket=: who is to be visited, why, for how long."""
        ticket = request.rel_url.query.get("ticket", "")
        found = await self._visits.of_ticket(ticket)
        if found is None:
            return self._over()
        visit, email = found
        page = self._pages.still(
            "visit.html",
            200,
            # Under no-referrer a browser sends `Origin: null` with a form. The address holds the ticket; under this one
            # it is told to our own origin alone, when it is used up.
            {"Referrer-Policy": "same-origin", "X-Frame-Options": "DENY"},
            visit=visit,
            email=email,
            ticket=ticket,
        )
        return of_page(page)

    async def open(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST /auth/visit from that page. Raises NotSameOrigin, SignInUnavailable."""
        check_origin(request.headers, self._origin)
        try:
            ticket = one(await read_form(request), "ticket")
        except BadForm:
            return self._over()
        return await self._signin.visit(request, self._visits, ticket) or self._over()

    def _over(self) -> web.Response:
        return of_page(
            self._pages.failure(status=410, title=OVER_TITLE, words=OVER_WORDS, retry_url=None, diagnostic_id=None)
        )
