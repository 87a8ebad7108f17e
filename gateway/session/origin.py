"""Which page asks: the check that every state-changing request passes."""

from collections.abc import Mapping

from gateway.session.identity import NotSameOrigin


def check_origin(headers: Mapping[str, str], own: str) -> None:
    """Raises NotSameOrigin unless a browser says that a page of origin `own` asks, and nothing says otherwise."""
    site, origin = headers.get("Sec-Fetch-Site"), headers.get("Origin")
    if site not in (None, "same-origin") or origin not in (None, own):
        raise NotSameOrigin("another site's page asks")
    if site is None and origin is None:
        raise NotSameOrigin("nobody says which page asks")
