"""Whose Machine is this? A spare belongs to nobody until the gateway says, once, whose it is.

The claim is kept on the volume as the very token that brought it, so that it outlives the Guard, and so that a file
which somebody wrote themselves makes them nobody's owner: it is not signed.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from golden.guard.assertion import LEEWAY_S, Expired, Refused, WrongClaims, signed
from golden.guard.log import log

SIZE_LIMIT = 32_768
"""Characters of a claim: it brings the App's keys along."""


class Taken(Exception):
    """It belongs to somebody else already."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose it is, and what their App gets in its environment."""

    user_id: str
    email: str
    environment: Mapping[str, str] = field(repr=False)


class Desk:
    """Takes one claim. `owner` is None as long as none was taken."""

    def __init__(
        self,
        path: Path,
        keys: Mapping[str, bytes],
        audience: str,
        *,
        taken: Callable[[Claim], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`path`: where the claim is kept. `taken` hears of it, also of one that was taken before our start."""
        self._path, self._keys, self._audience = path, keys, audience
        self._taken, self._clock = taken, clock
        self.owner = self._kept()
        if self.owner is not None:
            taken(self.owner)

    def claim(self, tokens: list[bytes]) -> None:
        """Belong to whom the X-Jarvis-Assertion says: `tokens` should be one. Saying it again changes nothing.

        Raises:
            Refused: not the gateway's word, or not about a claim of this Machine.
            Taken: it belongs to another user.
            OSError: it cannot be kept, so it is not taken.
        """
        if len(tokens) != 1:
            raise Refused("no claim" if not tokens else "several claims")
        token = tokens[0].decode("latin-1")
        claim, expires_at = self._read(token)
        if self._clock() > expires_at + LEEWAY_S:  # one from the future is genuine all the same: see Admission
            raise Expired("expired")
        if self.owner is not None:
            if claim.user_id != self.owner.user_id:
                raise Taken
            return
        self._keep(token)
        self.owner = claim
        log("claimed")
        self._taken(claim)

    def _read(self, token: str) -> tuple[Claim, int]:
        """The claim, and until when it may be made. Raises Refused."""
        claims = signed(token, self._keys, limit=SIZE_LIMIT)
        user_id, email, environment = claims.get("sub"), claims.get("email"), claims.get("env")
        expires = claims.get("exp")
        if claims.get("use") != "claim" or claims.get("aud") != self._audience:
            raise WrongClaims("no claim of this machine")
        if not (isinstance(user_id, str) and user_id and isinstance(email, str) and isinstance(expires, int)):
            raise WrongClaims("a claim is missing or malformed")
        if not isinstance(environment, dict) or not all(_is_variable(*pair) for pair in environment.items()):
            raise WrongClaims("env holds something else than variables")
        return Claim(user_id, email, environment), expires

    def _kept(self) -> Claim | None:
        try:
            token = self._path.read_text("latin-1")
        except FileNotFoundError:
            return None
        except OSError as error:
            log("claim_unreadable", why=str(error))
            return None
        try:
            return self._read(token)[0]
        except Refused as why:
            log("claim_not_genuine", why=str(why))
            return None

    def _keep(self, token: str) -> None:
        """Whole or not at all, and on the disk before anybody hears that it was taken."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, token.encode("latin-1"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fresh.replace(self._path)


def unclaimed(boot_id: str, machine_id: str) -> bytes:
    """What `/_guard/health` says as long as nobody owns the Machine."""
    told = {"status": "unclaimed", "app": "waiting", "boot_id": boot_id, "machine_id": machine_id}
    return json.dumps(told).encode()


def _is_variable(name: object, value: object) -> bool:
    """What a process may have in its environment, and not what is between gateway and Guard."""
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and name.isidentifier()
        and not name.startswith("JARVIS_")
        and "\0" not in value
    )
