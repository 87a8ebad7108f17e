"""Supabase's public signing keys, fetched when needed and kept while they can be trusted."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import httpx
import jwt
import structlog

from gateway.session.claims import ASYMMETRIC
from gateway.session.flight import Flights
from gateway.session.identity import SignInUnavailable
from provisioner.clock import Clock

AGAIN_AFTER: Final = timedelta(seconds=60)
"""After an answer, unknown key ids fetch no more for so long: made-up tokens must not become a flood of ours."""
AGAIN_AFTER_FAILURE: Final = timedelta(seconds=5)
MAX_DOCUMENT: Final = 65_536  # bytes
MAX_KEYS: Final = 32
MIN_RSA_BITS: Final = 2048

_KEY_ID = re.compile(r"[\x21-\x7e]{1,256}")
log = structlog.get_logger(__name__)


def read_keys(document: object) -> dict[str, jwt.PyJWK]:
    """The usable keys of a JWKS document by key id: ES256 and RS256 signing keys. Others are left out.

    Raises ValueError if it is no JWKS document at all.
    """
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a JWKS document")
    keys = {}
    for entry in document["keys"][:MAX_KEYS]:
        if isinstance(entry, dict) and (key := _read_key(entry)) is not None:
            keys[entry["kid"]] = key
    return keys


def _read_key(entry: dict[str, Any]) -> jwt.PyJWK | None:
    kid, kind, use = entry.get("kid"), entry.get("kty"), entry.get("use", "sig")
    if not isinstance(kid, str) or not _KEY_ID.fullmatch(kid) or kind not in ("EC", "RSA") or use != "sig":
        return None
    public = {name: value for name, value in entry.items() if name not in ("d", "p", "q", "dp", "dq", "qi", "oth")}
    try:
        key = jwt.PyJWK(public)
    except (jwt.PyJWTError, TypeError, ValueError):
        return None
    # PyJWT takes the key's word for its algorithm: it would let a P-384 key sign as ES256.
    strong = key.key.key_size >= MIN_RSA_BITS if kind == "RSA" else key.key.curve.name == "secp256r1"
    return key if key.algorithm_name in ASYMMETRIC and strong else None


class KeyRing:
    """The keys in memory. One fetch at a time; nothing runs while nobody asks."""

    def __init__(self, url: str, *, http: httpx.AsyncClient, clock: Clock, fresh: timedelta, stale: timedelta) -> None:
        """`url` of the JWKS document. `http` stays the caller's to close."""
        self._url, self._http, self._clock = url, http, clock
        self._fresh, self._stale = fresh.total_seconds(), stale.total_seconds()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._got_at: float | None = None
        self._not_before = 0.0
        self._flights: Flights[None] = Flights()

    @property
    def keys(self) -> Mapping[str, jwt.PyJWK]:
        """The keys that may be used now, without waiting. Sets a fetch going once they are no longer fresh."""
        if self._got_at is None:
            return {}
        age = self._clock.monotonic() - self._got_at
        if age >= self._fresh and self._clock.monotonic() >= self._not_before:
            self._flights.begin("fetch", self._fetch)
        return self._keys if age < self._stale else {}

    async def fetched(self) -> Mapping[str, jwt.PyJWK]:
        """The keys after asking Supabase again, if it was not asked just now.

        Raises SignInUnavailable when there are none to be had.
        """
        if self._clock.monotonic() >= self._not_before:
            await self._flights.share("fetch", self._fetch)
        keys = self.keys
        if self._got_at is None or (not keys and self._keys):
            raise SignInUnavailable("the signing keys cannot be fetched")
        return keys

    async def aclose(self) -> None:
        await self._flights.aclose()

    async def _fetch(self) -> None:
        """Never raises: a failure leaves the old keys in place."""
        try:
            answer = await self._http.get(self._url)
            answer.raise_for_status()
            if len(answer.content) > MAX_DOCUMENT:
                raise ValueError("JWKS document too large")
            self._keys = read_keys(answer.json())
        except (httpx.HTTPError, ValueError, RecursionError) as bad:
            log.warning("signing_keys_not_fetched", error=type(bad).__name__)
            self._not_before = self._clock.monotonic() + AGAIN_AFTER_FAILURE.total_seconds()
        else:
            self._got_at = self._clock.monotonic()
            self._not_before = self._got_at + AGAIN_AFTER.total_seconds()
            log.info("signing_keys_fetched", keys=len(self._keys))
