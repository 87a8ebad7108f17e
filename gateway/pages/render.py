"""The one place where a page becomes bytes and headers."""

import base64
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gateway.pages.view import InstanceView, bar
from gateway.pages.words import (
    HEADINGS,
    SAY,
    STEP_STATE_WORDS,
    STEP_WORDS,
    heading,
    sentence,
    to_go,
)

_RETRY_AFTER_MOST_S: Final = 30
_READY_DOT: Final = '<circle cx="24" cy="24" r="7" fill="#ffc83d" stroke="#fff" stroke-width="2"/>'
"""Put on the icon when the Instance is ready, so that a tab in the background tells."""


@dataclass(frozen=True, slots=True)
class Page:
    """An answer ready to be sent. `headers` has Content-Type and everything else but Content-Length."""

    body: bytes
    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCard:
    """A plan as it is offered. `has`: one line each, in words."""

    name: str
    usd_per_month: int
    has: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What the privacy page tells of how long things are kept, and where they are deleted."""

    account_url: str
    session_days: float
    audit_days: float
    step_times_days: float


SHIPPED: Final = Keeping(account_url="http://account.localhost", session_days=90, audit_days=400, step_times_days=400)
"""Until a composition root says better."""


class Pages:
    """Every page a person can meet in front of their Machine.

    Templates are compiled and the scripts hashed when it is made, so a broken page breaks the start and not a visit.
    Safe to share; a call does no I/O.
    """

    def __init__(self, *, plans: Sequence[PlanCard], keeping: Keeping = SHIPPED) -> None:
        assets = files(__package__).joinpath("assets")
        style = assets.joinpath("page.css").read_text("utf-8")
        script = "".join(assets.joinpath(name).read_text("utf-8") for name in ("rules.js", "live.js"))
        list_script = assets.joinpath("list.js").read_text("utf-8")
        environment = Environment(
            loader=PackageLoader("gateway.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        mark = assets.joinpath("mark.svg").read_text("utf-8").strip()
        environment.filters.update(seconds=seconds, days=days)
        environment.globals.update(
            style=_inline(style, "</style"),
            script=_inline(script, "</script"),
            list_script=_inline(list_script, "</script"),
            mark=_inline(mark, "</svg><"),
            icon=_data_url(mark),
        )
        self._ready_icon = _data_url(mark.replace("</svg>", _READY_DOT + "</svg>"))
        self._templates = {name: environment.get_template(name) for name in environment.list_templates()}
        self._plans, self._keeping = tuple(plans), keeping
        # The bytes between the tags never change, so a hash does what a nonce would, without a random number per page.
        self._still = _headers(f"style-src {_hash(style)}")
        live, listed = (
            _headers(f"style-src {_hash(style)}; script-src {_hash(each)}; connect-src 'self'")
            for each in (script, list_script)
        )
        self._listed = listed
        # Under no-referrer a browser sends `Origin: null` with a form, and whoever takes one asks where it comes from.
        self._going = live | {"Referrer-Policy": "same-origin"}

    def landing(self, *, error: str | None, signed_out: bool = False) -> Page:
        """`/` for a stranger. `error` says in our words why signing in failed; never text from a query."""
        return self._page("landing.html", 200, self._still, plans=self._plans, error=error, signed_out=signed_out)

    def privacy(self) -> Page:
        """`/welcome/privacy`: what is kept, where, for how long, and how it is deleted."""
        return self._page("privacy.html", 200, self._still, keeping=self._keeping)

    def in_line(self, *, email: str, place: int | None) -> Page:
        """200 at `/welcome/waiting` for who is on the waiting list. Goes on by itself once they are let in."""
        return self._page("in_line.html", 200, self._listed, email=email, place=place)

    def loading(self, *, next: str, view: InstanceView, diagnostic_id: str | None = None) -> Page:
        """503, served at the very URL that a GET asked for: when the Instance is ready the page loads itself again.

        `next` is that URL, path and query, for whoever presses a button.
        """
        wait = 1 if view.eta_s is None else max(1, min(math.ceil(view.eta_s), _RETRY_AFTER_MOST_S))
        headers = self._going | {"Retry-After": str(wait)}
        return self._on_the_way("loading.html", 503, headers, _local(next), "", view, diagnostic_id)

    def waiting(self, *, view: InstanceView, diagnostic_id: str | None = None) -> Page:
        """200 at `/welcome/waiting`: in line, or failed and being tried again. Goes on to `/` when ready."""
        return self._on_the_way("waiting.html", 200, self._going, "/", "/", view, diagnostic_id)

    def failure(
        self,
        *,
        status: int,
        title: str,
        words: str,
        retry_url: str | None,
        diagnostic_id: str | None,
        retry_after: int | None = None,
    ) -> Page:
        """Anything that went wrong with a navigation. `retry_after` in seconds becomes the header."""
        headers = self._still if retry_after is None else self._still | {"Retry-After": str(retry_after)}
        return self._page(
            "failure.html",
            status,
            headers,
            title=title,
            words=words,
            retry_url=None if retry_url is None else _local(retry_url),
            diagnostic_id=diagnostic_id,
            code=status,
        )

    def still(self, template: str, status: int, more: Mapping[str, str], **given: Any) -> Page:
        """A page without script, from a template of ours; `more` headers win over the usual ones."""
        return self._page(template, status, {**self._still, **more}, **given)

    def _on_the_way(
        self,
        template: str,
        status: int,
        headers: Mapping[str, str],
        next_url: str,
        go: str,
        view: InstanceView,
        diagnostic_id: str | None,
    ) -> Page:
        data = {
            "view": view.as_json(),
            "go": go,  # empty: load this very URL again
            "say": SAY,
            "headings": HEADINGS,
            "steps": {name: [words.label, words.now] for name, words in STEP_WORDS.items()},
            "states": STEP_STATE_WORDS,
            "icon": self._ready_icon,
        }
        return self._page(
            template,
            status,
            headers,
            next=next_url,
            view=view,
            bar=bar(view.steps),
            heading=heading(view),
            sentence=sentence(view),
            to_go=to_go(view),
            step_words=STEP_WORDS,
            state_words=STEP_STATE_WORDS,
            say=SAY,
            data=_data(data),
            diagnostic_id=diagnostic_id,
        )

    def _page(self, template: str, status: int, headers: Mapping[str, str], **given: Any) -> Page:
        body = self._templates[template].render(**given).encode()
        return Page(body, status, MappingProxyType(dict(headers)))


def seconds(value: float) -> str:
    """A short time as people read it: 0.4 s, 12 s. `rules.js` writes the same."""
    return f"{value:.1f} s" if value < 9.95 else f"{value:.0f} s"


def memory(mb: int) -> str:
    """512 MB, 1 GB."""
    return f"{mb} MB" if mb < 1024 else f"{mb / 1024:g} GB"


def days(value: float) -> str:
    """Days as a whole number, of which nobody expects more than is meant."""
    return f"{value:.0f} day{'' if round(value) == 1 else 's'}"


def _headers(sources: str) -> dict[str, str]:
    policy = (
        f"default-src 'none'; {sources}; img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _inline(text: str, end: str) -> Markup:
    if end in text.lower():
        raise ValueError(f"an inline asset contains {end!r}, which would end its element")
    return Markup(text)  # noqa: S704  our own file, checked above


def _data_url(svg: str) -> str:
    return "data:image/svg+xml," + quote(svg, safe=" =:/'")


def _data(value: Any) -> Markup:
    # In a data block the parser looks only for "</script" and "<!--"; without "<" there is neither.
    return Markup(json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"))  # noqa: S704


def _local(url: str) -> str:
    """`url` if it is a path of this host, else "/". "//x" and "/\\x" are other hosts to a browser."""
    return url if url.startswith("/") and url[1:2] not in ("/", "\\") and url.isprintable() else "/"
