"""Where to go after signing in: a path of ours, whatever somebody wrote into the link."""

import re
from typing import Final
from urllib.parse import urlsplit

MAX_LENGTH: Final = 1500
"""Of characters. Several pending sign-ins ride in one Cookie header, and aiohttp refuses one over 8190 bytes."""

HOME: Final = "/"
# Printable ASCII without space, quotes, angle brackets and backslash: what a browser sends in a request target. A
# backslash is a slash to browsers, so `/\host` would leave the origin; control characters are dropped by them, so
# `/<tab>/host` would too.
_PLAIN = re.compile(r"/[!#-;=?-\[\]^_`a-z{|}~]*", re.ASCII)
_OURS = ("/auth/",)  # back to sign-in after sign-in would be a loop


def safe_next(wanted: str | None) -> str:
    """`wanted` if it is a path (with query and fragment) on our own origin, else "/". Never raises."""
    if not wanted or len(wanted) > MAX_LENGTH or not _PLAIN.fullmatch(wanted) or wanted.startswith("//"):
        return HOME
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return HOME
    if parts.scheme or parts.netloc or parts.path.startswith(_OURS) or parts.path == "/auth":
        return HOME
    return wanted
