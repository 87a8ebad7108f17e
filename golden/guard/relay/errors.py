"""What may go wrong on the wire, and whose side it was on."""


class Malformed(Exception):
    """Bytes that are not HTTP/1.1 as we insist on it. The connection cannot be trusted any further."""

    def __init__(self, what: str, *, status: int = 400) -> None:
        super().__init__(what)
        self.what, self.status = what, status


class Unreachable(Exception):
    """No connection to the upstream could be had. Nothing was sent: safe to retry any method."""

    def __init__(self, status: int, detail: str, *, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.retry_after = status, detail, retry_after
