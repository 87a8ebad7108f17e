"""Which requests are for the account pages, and which of those may be answered. Pure."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from gateway.session.identity import NotSameOrigin


class AccountHost:
    """Tells the account origin by the Host header.

    Ports and a dot at the end do not matter: cookies do not look at ports, and whatever a browser takes for that host
    must never be answered by a Machine.
    """

    def __init__(self, origin: str) -> None:
        self.origin: Final = origin
        self._name = urlsplit(origin).hostname or ""

    def is_named(self, host: str) -> bool:
        """Whether `host`, as it stands in a Host header, is ours."""
        name, colon, port = host.strip().rpartition(":")
        if not colon or not port.isdigit():
            name = host.strip()
        return name.rstrip(".").lower() == self._name


def check_fetch(method: str, headers: Mapping[str, str]) -> None:
    """Raises NotSameOrigin for a read that no person asked for: by a frame, a script or an image of another origin.

    Browsers without Sec-Fetch-* say nothing here; their POSTs are checked by Origin, and our answers forbid framing.
    """
    site = headers.get("Sec-Fetch-Site")
    if site in (None, "same-origin", "none"):
        return
    mode, whole = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest") == "document"
    if not (method == "GET" and mode == "navigate" and whole):
        raise NotSameOrigin("another site's page asks")
