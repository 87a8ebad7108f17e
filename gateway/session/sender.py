"""What a request tells of its sender, made fit for a column and a header."""

import ipaddress


def plain_text(text: str | None, length: int) -> str | None:
    """At most `length` characters as Postgres takes them: no NUL, no lone surrogates. None for nothing."""
    return text.encode("utf-8", "replace").decode().replace("\0", "")[:length] if text else None


def plain_address(text: str | None) -> str | None:
    """An IP address in its usual spelling, None for anything else. A zone (`%eth0`) means nothing to others."""
    try:
        return str(ipaddress.ip_address(text.partition("%")[0])) if text else None
    except ValueError:
        return None
