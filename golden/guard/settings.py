"""What the Guard is told by its environment, read once."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DEFAULT_COMMAND: Final = "python -m golden.app"


class BadSettings(Exception):
    """The environment makes no sense. Lists every problem at once, and no secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. `host` is an IP literal without brackets."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The Guard's settings."""

    machine_id: str
    """FLY_MACHINE_ID: the audience that an assertion must name."""
    keys: Mapping[str, bytes] = field(repr=False)
    """JARVIS_GUARD_KEYS, `kid:base64url(32 bytes),…`: keys by their id. Several while they are rotated."""
    command: str = DEFAULT_COMMAND
    """JARVIS_COMMAND: the App, as a shell command. It must answer HTTP on 127.0.0.1:$PORT."""
    routes: Mapping[str, int] = field(default_factory=dict)
    """JARVIS_ROUTES, `/prefix=port,…`: path prefixes that go to other local ports; the longest wins."""
    listen: Address = Address("::", 8080)
    """JARVIS_LISTEN, `host:port`. `[::]` takes IPv4 too: the gateway comes over IPv6, health checks may not."""
    app_port: int = 0
    """JARVIS_APP_PORT: the App's PORT; 0 finds a free one at each start."""
    inner_port: int = 0
    """JARVIS_INNER_PORT: where the App reaches us on 127.0.0.1, told to it as GUARD_URL; 0 finds a free one."""
    owner: str = ""
    """USER_ID: the only user whose assertions are good here. Empty: the gateway's word is enough."""
    claim_file: Path | None = None
    """JARVIS_SPARE=1: this Machine belongs to nobody until it is claimed; the claim is kept here, within DATA_DIR."""
    app_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What the App gets besides PORT: all of ours except JARVIS_*, which is between gateway and Guard."""


def read(environment: Mapping[str, str]) -> Settings:
    """The settings that `environment` holds.

    Raises:
        BadSettings: with every problem, so that one look is enough to mend them all.
    """
    problems: list[str] = []
    machine_id = environment.get("FLY_MACHINE_ID", "")
    if not machine_id:
        problems.append("FLY_MACHINE_ID is missing: nothing says which assertions are meant for this machine")
    settings = Settings(
        machine_id=machine_id,
        keys=_keys(environment.get("JARVIS_GUARD_KEYS", ""), problems),
        command=environment.get("JARVIS_COMMAND", "").strip() or DEFAULT_COMMAND,
        routes=_routes(environment.get("JARVIS_ROUTES", ""), problems),
        listen=_listen(environment.get("JARVIS_LISTEN", "") or "[::]:8080", problems),
        app_port=_port(environment.get("JARVIS_APP_PORT", "") or "0", "JARVIS_APP_PORT", problems, lowest=0),
        inner_port=_port(environment.get("JARVIS_INNER_PORT", "") or "0", "JARVIS_INNER_PORT", problems, lowest=0),
        owner=environment.get("USER_ID", ""),
        claim_file=_claim_file(environment, problems),
        app_environment={name: value for name, value in environment.items() if not name.startswith("JARVIS_")},
    )
    if problems:
        raise BadSettings(problems)
    return settings


def _claim_file(environment: Mapping[str, str], problems: list[str]) -> Path | None:
    if environment.get("JARVIS_SPARE", "") in ("", "0"):
        return None
    if environment.get("USER_ID"):
        problems.append("JARVIS_SPARE: a machine with a USER_ID is no spare")
    if not environment.get("DATA_DIR"):
        problems.append("DATA_DIR is missing: nowhere to keep who claimed this machine")
    return Path(environment.get("DATA_DIR") or ".") / ".jarvis" / "claim"


def _keys(text: str, problems: list[str]) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    for number, pair in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        kid, _, encoded = pair.partition(":")
        try:
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not kid or kid in keys or len(key) != 32:
            problems.append(f"JARVIS_GUARD_KEYS: entry {number} is not an id of its own and 32 bytes in base64url")
        else:
            keys[kid] = key
    if not keys and not problems:
        problems.append("JARVIS_GUARD_KEYS is missing: nobody could be let in")
    return keys


def _routes(text: str, problems: list[str]) -> dict[str, int]:
    routes: dict[str, int] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        prefix, _, port = entry.partition("=")
        prefix = prefix.rstrip("/")
        if not prefix.startswith("/") or prefix in routes:
            problems.append(f"JARVIS_ROUTES: {entry!r} is not /prefix=port, or names a prefix again")
        else:
            routes[prefix] = _port(port, f"JARVIS_ROUTES {prefix}", problems)
    return routes


def _listen(text: str, problems: list[str]) -> Address:
    host, _, port = text.rpartition(":")
    if not host:
        problems.append(f"JARVIS_LISTEN: {text!r} is not host:port")
    return Address(host.removeprefix("[").removesuffix("]"), _port(port, "JARVIS_LISTEN", problems, lowest=0))


def _port(text: str, name: str, problems: list[str], *, lowest: int = 1) -> int:
    if text.isascii() and text.isdigit() and lowest <= int(text) <= 65535:
        return int(text)
    problems.append(f"{name}: {text!r} is not a port")
    return 0
