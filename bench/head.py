"""The request head that everybody gets: what a signed-in browser sends to a Jupyter-like App."""

from collections.abc import Sequence
from typing import Final

HEAD_BYTES: Final = 1700
COOKIE_BYTES: Final = 1100
"""Of the Cookie line's value. Such Apps keep much in cookies; ours is 50 bytes of it."""

_LINES: Final = (
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    ),
    ("Accept", "application/json, text/plain, */*"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Dest", "empty"),
    ("Sec-CH-UA", '"Chromium";v="142", "Not_A Brand";v="99"'),
    ("X-Requested-With", "XMLHttpRequest"),
)
_HOST_AND_FIRST_LINE: Final = len("GET / HTTP/1.1\r\nHost: 127.0.0.1:12345\r\n\r\n")

Lines = Sequence[tuple[str, str]]


def head_lines(session_cookie: str) -> Lines:
    """Header lines besides Host. With them a `GET /` has HEAD_BYTES, its cookies COOKIE_BYTES; ours is among them."""
    cookie = f'_xsrf=2|5c1f0a77|9e1b|1763852400; {session_cookie}; theme=dark; app-state="'
    cookie += "AAECAwQFBgcICQoLDA0ODw" * 60
    cookie = cookie[: COOKIE_BYTES - 1] + '"'
    lines = [*_LINES, ("Cookie", cookie)]
    left = HEAD_BYTES - _HOST_AND_FIRST_LINE - sum(len(f"{name}: {value}\r\n") for name, value in lines)
    referer = "http://127.0.0.1:12345/lab/tree/notebooks/" + "quarterly-report-" * 20
    return [*lines, ("Referer", referer[: left - len("Referer: \r\n")])]


def as_text(lines: Lines) -> str:
    """As bench/load/load.c reads them."""
    return "".join(f"{name}: {value}\r\n" for name, value in lines)


def as_arguments(lines: Lines) -> list[str]:
    """As wrk takes them."""
    return [part for name, value in lines for part in ("-H", f"{name}: {value}")]
