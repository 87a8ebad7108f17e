"""Access tokens, checked once and remembered until they end."""

import hashlib
from collections.abc import Callable

import structlog
from cachetools import LRUCache

from gateway.session.claims import LEEWAY, Claims, TokenRefused, Trust, UnknownKey, issuer_of, verify
from gateway.session.jwks import KeyRing
from provisioner.clock import Clock

log = structlog.get_logger(__name__)


class Tokens:
    """Verification with a bounded memory. Used from one event loop."""

    def __init__(self, keys: KeyRing, trust: Trust, *, clock: Clock, remember: int) -> None:
        self._keys, self._trust, self._clock = keys, trust, clock
        self._verified: LRUCache[bytes, Claims] = LRUCache(maxsize=remember)

    async def verify(self, token: str) -> Claims:
        """The claims of a good token; from memory if this very token was good before and has not ended.

        Raises:
            TokenRefused: it is not good. One log line, without the token.
            SignInUnavailable: it may be good, but Supabase's keys cannot be had.
        """
        known_as = _known_as(token)
        claims = self._verified.get(known_as)
        if claims is not None and self._clock.now() < claims.expires_at + LEEWAY:
            return claims
        self._verified.pop(known_as, None)
        try:
            claims = await self._verify(token)
        except TokenRefused as refused:
            log.info("token_refused", reason=refused.detail)
            raise
        self._verified[known_as] = claims
        return claims

    def ours(self, token: str) -> bool:
        """Whether it names our issuer, good or bad. Such a token must never travel on to a Machine."""
        return _known_as(token) in self._verified or issuer_of(token) == self._trust.issuer

    def forget(self, which: Callable[[Claims], bool]) -> None:
        """Drop remembered tokens, of a user or a session that ended. Rare, so it looks at all of them."""
        for known_as in [known_as for known_as, claims in self._verified.items() if which(claims)]:
            self._verified.pop(known_as, None)

    async def _verify(self, token: str) -> Claims:
        try:
            return verify(token, self._keys.keys, self._trust, now=self._clock.now())
        except UnknownKey:
            return verify(token, await self._keys.fetched(), self._trust, now=self._clock.now())


def _known_as(token: str) -> bytes:
    """The hash of the whole token: a signature alone says nothing about which content it was shown with."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
