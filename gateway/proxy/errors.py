"""What can go wrong on the way to a Machine, in words. Statuses and pages belong to whoever answers."""


class UpstreamError(Exception):
    """An exchange ended before any part of an answer reached the client, so one may still be given.

    `sent`: False where no byte of the request can have reached the Machine and another try makes sense,
    whatever the method.
    """

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


class UpstreamRefused(UpstreamError):
    """The Machine refused the TCP connection: nothing listens there yet. Nothing was sent."""

    def __init__(self, why: str = "connection refused") -> None:
        super().__init__(why, sent=False)


class UpstreamUnreachable(UpstreamError):
    """No TCP connection within `connect_s`, or no way to the host. Nothing was sent."""

    def __init__(self, why: str = "no connection in time") -> None:
        super().__init__(why, sent=False)


class UpstreamBusy(UpstreamError):
    """All connections that one Endpoint may have were in use for `connect_s`. Nothing was sent."""

    def __init__(self, why: str = "no free connection in time") -> None:
        super().__init__(why, sent=False)


class UpstreamSilent(UpstreamError):
    """The whole request was sent and no answer began within `first_byte_s`."""

    def __init__(self, why: str = "no answer in time") -> None:
        super().__init__(why, sent=True)


class UpstreamBroke(UpstreamError):
    """The Machine ended the connection before it answered."""

    def __init__(self, why: str = "closed before an answer", *, sent: bool = True) -> None:
        super().__init__(why, sent=sent)


class UpstreamGarbled(UpstreamError):
    """The answer is no valid HTTP, or frames itself in two ways at once."""

    def __init__(self, why: str) -> None:
        super().__init__(why, sent=True)


class BodyTooLarge(UpstreamError):
    """The client's body is larger than `max_body_bytes`. The fault is the client's."""

    def __init__(self, why: str) -> None:
        super().__init__(why, sent=True)  # or not: there is no other try


class BodyStalled(UpstreamError):
    """The client stopped sending its body for `stall_s`. The fault is the client's."""

    def __init__(self, why: str = "the request body stopped coming") -> None:
        super().__init__(why, sent=True)


class ExchangeCut(UpstreamError):
    """The session was cut while its request waited for an answer."""

    def __init__(self, why: str = "cut") -> None:
        super().__init__(why, sent=True)
