"""Lets in whom the gateway vouches for, and remembers it for as long as the assertion lives."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from golden.guard.assertion import LEEWAY_S, Claims, Expired, IssuedLater, Refused, WrongClaims, verify
from golden.guard.log import log

_REMEMBERED: Final = 64
_TRUST_S: Final = 600.0


class Admission:
    """Checks the assertion of a request for one Machine.

    After a resume our clock stands where it stood when the Machine was put to sleep, hours ago, until
    it is set right. Only the gateway can sign for us, so a genuine assertion from the future means
    that we are behind: it is let in, and for a while its time counts as the earliest possible now, so
    that what the gateway considers expired is expired here too.
    """

    def __init__(
        self,
        keys: Mapping[str, bytes],
        audience: str,
        *,
        owner: str = "",
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys, self._audience, self._owner = keys, audience, owner
        self._clock, self._monotonic = clock, monotonic
        self._known: dict[bytes, Claims] = {}
        self._told: tuple[int, float] | None = None  # the gateway's time, and our monotonic time when it came

    @property
    def audience(self) -> str:
        """The Machine that the assertions have to name: this one."""
        return self._audience

    def belong_to(self, owner: str) -> None:
        """From now on only this user's assertions are good here."""
        self._owner = owner

    def admit(self, tokens: list[bytes]) -> Claims:
        """Who asks, by the X-Jarvis-Assertion of a request: `tokens` should be one.

        Raises:
            Refused: nobody we could know.
        """
        if len(tokens) != 1:
            raise Refused("no assertion" if not tokens else "several assertions")
        now = self._now()
        claims = self._known.get(tokens[0])
        if claims is None:
            claims = self._verify(tokens[0], now)
        elif now > claims.expires_at + LEEWAY_S:
            del self._known[tokens[0]]
            raise Expired("expired")
        return claims

    def _verify(self, token: bytes, now: float) -> Claims:
        try:
            claims = verify(token.decode("latin-1"), self._keys, self._audience, now)
        except IssuedLater as later:
            claims = later.claims
            self._told = (claims.issued_at, self._monotonic())
            log("clock_lags", by_s=round(claims.issued_at - now))
        if self._owner and claims.user_id.lower() != self._owner.lower():
            raise WrongClaims("another user's assertion")
        if len(self._known) >= _REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[token] = claims
        return claims

    def _now(self) -> float:
        now = self._clock()
        if self._told is not None:
            time_told, when = self._told
            since = self._monotonic() - when
            if since < _TRUST_S:
                return max(now, time_told + since)
            self._told = None
        return now
