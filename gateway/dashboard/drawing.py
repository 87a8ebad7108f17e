"""The one place where an operator's page becomes bytes and headers."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*(?:Z|[+-]\d\d:\d\d)")
NAV: Final = (
    ("/", "Overview"),
    ("/instances", "Instances"),
    ("/signups", "Sign-ups"),
    ("/rollouts", "Rollouts"),
    ("/visits", "Visits"),
    ("/health", "Health"),
    ("/switches", "Switches"),
    ("/audit", "Audit"),
)


@cache
def _templates() -> Mapping[str, Template]:
    """Every template, compiled once for a process: that takes longer than all else at a start of this room."""
    environment = Environment(
        loader=PackageLoader("gateway.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters = (ago, ahead, usd, secs, clock, short, told, marked)
    environment.filters.update({each.__name__: each for each in filters})
    return {name: environment.get_template(name) for name in environment.list_templates()}


class Drawing:
    """Templates and assets, read once: what is broken breaks the start and not a night."""

    def __init__(self) -> None:
        self._templates = _templates()
        own = files("gateway.dashboard").joinpath("assets")
        theirs = files("gateway.pages").joinpath("assets")
        style = theirs.joinpath("page.css").read_text("utf-8") + own.joinpath("dashboard.css").read_text("utf-8")
        self.assets: Mapping[str, tuple[str, bytes]] = {
            "dashboard.css": ("text/css", style.encode()),
            "dashboard.js": ("text/javascript", own.joinpath("dashboard.js").read_bytes()),
            "mark.svg": ("image/svg+xml", theirs.joinpath("mark.svg").read_bytes()),
        }

    def page(self, template: str, *, status: int = 200, **given: Any) -> web.Response:
        text = self._templates[template].render(nav=NAV, **given)
        return web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)

    def asset(self, name: str) -> web.Response | None:
        found = self.assets.get(name)
        if found is None:
            return None
        kind, body = found
        headers = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago, as short as it can be said: 12 s, 4 min, 3 h, 2 d."""
    if at is None:
        return "never"
    seconds = max(0.0, (now - at).total_seconds())
    for limit, unit, word in ((90, 1, "s"), (90 * 60, 60, "min"), (36 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds / 86400:.0f} d"


def ahead(at: datetime, now: datetime) -> str:
    """How long until then, in the same words."""
    return ago(now, at)


def usd(value: float | None) -> str:
    return "" if value is None else f"${value:,.2f}" if value >= 0.995 or value == 0 else f"${value:.3f}"


def secs(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def told(detail: str) -> str:
    """The detail of an audit row, which is JSON, as a person reads it."""
    return ", ".join(_words(name, value) for name, value in json.loads(detail).items())


def marked(text: str) -> Markup:
    """Words of our own, in which `code` and *emphasis* are marked."""
    emphasised = re.sub(r"\*([^*`]+)\*", r"<em>\1</em>", str(escape(text)))
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", emphasised))  # noqa: S704  what was not ours is escaped


def _words(name: str, value: object) -> str:
    words = name.replace("_", " ")
    if isinstance(value, dict):
        return f"{words} ({', '.join(_words(str(inner), each) for inner, each in value.items())})"
    if isinstance(value, float):
        return f"{words} {value:.3g}"
    if isinstance(value, str):
        return f"{words} {clock(datetime.fromisoformat(value)) if _INSTANT.fullmatch(value) else value}"
    return f"{words} {json.dumps(value)}"


def clock(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def short(text: object, most: int = 8) -> str:
    said = str(text)
    return said if len(said) <= most else said[:most] + "…"
