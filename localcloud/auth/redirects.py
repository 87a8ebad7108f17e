"""Where Auth is willing to send a browser. Pure."""

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
ORDINARY_HOST: Final = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?")
SEPARATORS: Final = "./"


def glob(pattern: str) -> re.Pattern[str]:
    """An allow-list entry: `*` stops at `.` and `/`, `**` does not, `?` is one character that is neither."""
    wild = {"**": ".*", "*": f"[^{SEPARATORS}]*", "?": f"[^{SEPARATORS}]"}
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    return re.compile("".join(wild.get(part) or re.escape(part) for part in parts), re.DOTALL)


def is_allowed(url: str, *, site_url: str, allow: Sequence[str]) -> bool:
    """Whether `redirect_to` may be `url`: the site itself, a loopback literal, or on the list."""
    if not url or any(ord(char) <= 0x20 or ord(char) == 0x7F for char in url):
        return False
    try:
        target, site = urlsplit(url), urlsplit(site_url)
        if _same_site(target, site):
            return True
        verdict = _by_host(target)
    except ValueError:  # an impossible port or IPv6 literal
        return False
    if verdict is not None:
        return verdict
    bare = url.partition("#")[0]
    return any(glob(pattern).fullmatch(bare) for pattern in allow)


def _same_site(target: SplitResult, site: SplitResult) -> bool:
    return (
        target.hostname == site.hostname
        and target.scheme == site.scheme
        and (target.port == site.port or target.hostname in LOCAL_NAMES)
    )


def _by_host(target: SplitResult) -> bool | None:
    """What the host alone decides: addresses are allowed exactly if they are loopback; None asks the list."""
    host = target.hostname or ""
    if host.isdecimal():  # 2130706433 is 127.0.0.1 to a browser
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        pass
    if target.scheme in {"http", "https"} and not ORDINARY_HOST.fullmatch(host):
        return False
    return None


def choose(candidates: Sequence[str], *, site_url: str, allow: Sequence[str]) -> str:
    """The first allowed candidate, silently else SITE_URL: a forbidden `redirect_to` is no error to Auth."""
    return next((url for url in candidates if is_allowed(url, site_url=site_url, allow=allow)), site_url)


def with_query(url: str, added: Mapping[str, str], *, fragment: Mapping[str, str] | None = None) -> str:
    """`url` with `added` merged into its query, all of it sorted by key, and a new fragment if one is given."""
    parts = urlsplit(url)
    kept = [(key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if key not in added]
    query = urlencode(sorted([*kept, *added.items()], key=lambda pair: pair[0]))
    tail = parts.fragment if fragment is None else urlencode(sorted(fragment.items()))
    return urlunsplit(parts._replace(query=query, fragment=tail))
