"""What a request's way through needs to know beside the request itself."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.proxy.fields import Cookies
from provisioner.instance import Endpoint

if TYPE_CHECKING:
    from gateway.proxy.upstream import Slot

_NONE_OURS: Final = Cookies((), ())


@dataclass(slots=True, kw_only=True, eq=False)
class Passage:
    """Built by the gateway; may serve any number of requests that have all of this in common. Not to be changed."""

    endpoint: Endpoint
    key: Hashable
    """Whose exchange: for draining and counting. Hashed several times a request, so an id, not a record."""
    session: Hashable | None = None
    """For cutting one session."""
    lines: bytes = b""
    """Fields added after cleaning, each with its CRLF."""
    ours: Cookies = _NONE_OURS
    """Cookies that neither reach a Machine nor are accepted from one."""
    drop_authorization: bool = False
    """The bearer token was ours."""
    touch: Callable[[], None] = lambda: None
    """Called for the request and for data in either direction on an open stream; for frames at the next tick."""
    silent: Callable[[], None] = lambda: None
    """Called at every tick while the Machine says nothing for longer than `silent_s`. Must be cheap."""

    slot: "Slot | None" = field(default=None, init=False, repr=False)
    """Where the last exchange found its connection: spares the look-up."""
    _jar: tuple[bytes, bytes] = field(default=(b"", b""), init=False, repr=False)

    def cleaned(self, cookie: bytes) -> bytes:
        """A Cookie value without ours. A browser sends the same again and again, so the last one is kept."""
        jar = self._jar
        if jar[0] != cookie:
            jar = self._jar = (cookie, self.ours.without(cookie))
        return jar[1]
