"""What kind of request is this, and who sent it? Pure readings of a head; nothing here trusts the sender."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

RESERVED: Final = ("/auth/", "/welcome/", "/_gateway/")
"""Paths of the public host that belong to the gateway. Everything else belongs to the user's Machine."""


class Kind(StrEnum):
    """How the sender takes an answer that is ours: a page, or words for a program."""

    NAVIGATION = "navigation"
    SUBMISSION = "submission"  # a form: takes a page, but loading it again would lose what was filled in
    WEBSOCKET = "websocket"
    CALL = "call"


def kind_of(method: str, headers: Mapping[str, str]) -> Kind:
    """HTML and redirects to sign-in go to navigations only; a script that gets a page instead of JSON breaks.

    Browsers say it by Sec-Fetch-Mode. Without that header (old browsers, curl) a GET that wants HTML counts as one.
    """
    if "websocket" in headers.get("Upgrade", "").lower():
        return Kind.WEBSOCKET
    mode = headers.get("Sec-Fetch-Mode")
    if mode is not None:
        # Frames and objects navigate too, but a page of ours inside somebody's frame helps nobody.
        whole = headers.get("Sec-Fetch-Dest", "document") == "document"
        if mode != "navigate" or not whole:
            return Kind.CALL
        return Kind.NAVIGATION if method in ("GET", "HEAD") else Kind.SUBMISSION
    wants_html = "text/html" in headers.get("Accept", "").lower()
    return Kind.NAVIGATION if method in ("GET", "HEAD") and wants_html else Kind.CALL


def is_reserved(path: str) -> bool:
    """Does `path` (decoded, without query) belong to the gateway?"""
    return path.startswith(RESERVED)


def wants_root_worker(path: str, headers: Mapping[str, str]) -> bool:
    """Is this the script of a service worker that could answer for RESERVED paths?

    A worker answers for what lies beside its script and below (browsers ask no server there, also not to sign out or
    in), so one at the root would be between us and every later user of the browser. `path` as it was sent; browsers
    refuse scripts and scopes with an encoded slash.
    """
    return "Service-Worker" in headers and path.rfind("/") <= 0


def client_ip(peer: str | None, headers: Mapping[str, str], trusted_header: str) -> str:
    """The client's address: what the platform's edge says, or the peer's own. "" if neither is known.

    `trusted_header` is set only where an edge always overwrites that header.
    """
    if trusted_header:
        told = headers.get(trusted_header, "").strip()
        if told:
            return told
    return peer or ""


def forwarded(client: str, host: str, scheme: str) -> tuple[tuple[bytes, bytes], ...]:
    """What a Machine is told about the request's way, in the old form and in that of RFC 7239."""
    node = f'"[{client}]"' if ":" in client else client
    quoted_host = host.replace("\\", "\\\\").replace('"', '\\"')
    return (
        (b"X-Forwarded-For", client.encode("latin-1", "replace")),
        (b"X-Forwarded-Host", host.encode("utf-8", "surrogateescape")),
        (b"X-Forwarded-Proto", scheme.encode()),
        (
            b"Forwarded",
            f'for={node or "unknown"};host="{quoted_host}";proto={scheme}'.encode("utf-8", "surrogateescape"),
        ),
    )
