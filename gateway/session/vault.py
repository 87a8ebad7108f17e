"""Secrets at rest: sealed with AES-GCM under a named key, so that keys can be rotated without signing anybody out."""

import os
import re
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")
_NONCE = 12


class Unsealable(Exception):
    """Not sealed by us, for something else, or with a key we no longer have."""


def key_problems(keys: Mapping[str, bytes]) -> list[str]:
    """What is wrong with a set of master keys, in words; empty if nothing. Never shows a key."""
    problems = [] if keys else ["master_keys is empty"]
    problems += [f"master key id {kid!r} is not 1–32 of A-Za-z0-9_-" for kid in keys if not _KEY_ID.fullmatch(kid)]
    problems += [f"master key {kid!r} is not 32 bytes" for kid, key in keys.items() if len(key) != 32]
    return problems


class Vault:
    """Seals bytes for one purpose. Each purpose has its own keys, derived from the master keys by HKDF-SHA256.

    Sealed form: `<key id>.<12 bytes nonce><ciphertext and tag>`.
    """

    def __init__(self, master_keys: Mapping[str, bytes], *, purpose: str) -> None:
        if problems := key_problems(master_keys):
            raise ValueError("; ".join(problems))
        self._keys = {kid: AESGCM(derive(key, purpose)) for kid, key in master_keys.items()}
        self._current = next(iter(self._keys))

    def seal(self, secret: bytes, *, about: bytes) -> bytes:
        """`secret`, openable only together with the same `about`: a sealed value cannot be moved to another row."""
        nonce = os.urandom(_NONCE)
        return self._current.encode() + b"." + nonce + self._keys[self._current].encrypt(nonce, secret, about)

    def open(self, sealed: bytes, *, about: bytes) -> bytes:
        """The secret. Raises Unsealable."""
        kid, dot, rest = sealed.partition(b".")
        key = self._keys.get(kid.decode("ascii", "replace"))
        if not dot or key is None or len(rest) < _NONCE:
            raise Unsealable("no key of ours")
        try:
            return key.decrypt(rest[:_NONCE], rest[_NONCE:], about)
        except InvalidTag:
            raise Unsealable("does not open") from None


def derive(master_key: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose, worth nothing for another."""
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"jarvis/{purpose}".encode()).derive(master_key)
