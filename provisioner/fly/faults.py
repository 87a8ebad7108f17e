"""A refusal of Fly → our word for it.

One status has many meanings at Fly (409 six, 412 five), so nothing is decided by the status alone. First the body's
`status` field, where it is one of Fly's codes; then the text, on those statuses where that text was seen; last the
HTTP status. Sources of the texts: fly-go's error classification, Fly's documentation and production reports.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

from provisioner.errors import (
    CloudBroken,
    CloudError,
    CloudSilent,
    LeaseHeld,
    NameTaken,
    NoCapacity,
    NotAllowed,
    NotThere,
    RateLimited,
    Refused,
    Scope,
    WrongState,
)
from provisioner.ports import MachineState

_Kind = Callable[..., CloudError]  # called with (message, status=…, request_id=…)
_Found = re.Match[str]

_LONGEST_BODY: Final = 64 * 1024
_LONGEST_MESSAGE: Final = 300
_TOKENS: Final = re.compile(r"fm\d\w?_[\w+/=.-]+|\b(?:FlyV1|Bearer)\s+\S+")
_STATES: Final = "|".join(state.value for state in MachineState if state is not MachineState.UNKNOWN)
_CURRENT: Final = re.compile(
    rf"current state:? ['\"]?(\w+)|(?:currently|already|machine is) ['\"]?({_STATES})\b", re.IGNORECASE
)

_ATTACHED: Final = re.compile(r"volume.* (?:attached|bound) to", re.IGNORECASE)


def _no_room(scope: Scope) -> _Kind:
    return partial(NoCapacity, scope=scope)


_CODES: Final[Mapping[str, _Kind]] = {
    "insufficient_capacity": _no_room(Scope.REGION),
    "volume_placement_capacity": _no_room(Scope.VOLUME_HOST),
    "name_taken": NameTaken,
}
"""The codes of the body's `status` field that decide. `unknown`, and the `error` of lease answers, leave it open."""


def _lease(found: _Found) -> _Kind:
    return partial(LeaseHeld, until=_instant(found["until"]))


def _name(found: _Found) -> _Kind:
    return partial(NameTaken, machine_id=found["id"])


def _state(found: _Found) -> _Kind:
    return partial(WrongState, current=state_named(found.string))


_TEXTS: Final[tuple[tuple[frozenset[int] | None, re.Pattern[str], Callable[[_Found], _Kind]], ...]] = tuple(
    (frozenset(statuses) or None, re.compile(pattern, re.IGNORECASE), kind)
    for statuses, pattern, kind in (
        ((), r"deploys to this host are temporarily disabled", lambda _: _no_room(Scope.HOST)),
        ((400, 409), r"no capacity", lambda _: _no_room(Scope.REGION)),
        ((400,), r"volume not found", lambda _: NotThere),  # soft-deleted, though a GET may still show it
        ((403,), r"over the allowed quota", lambda _: _no_room(Scope.ORGANISATION)),
        ((409,), r"lease currently held by(?:.*expires at (?P<until>\S+))?", _lease),
        ((409,), r"unique machine name violation(?:.*machine ID (?P<id>\w+))?", _name),
        (
            (409,),
            r"(?:could not reserve resource|insufficient (?:CPUs|memory|IPs|resources))",
            lambda _: _no_room(Scope.HOST),
        ),
        ((409, 422), r"already been taken|uniqueness constraint violated", lambda _: NameTaken),
        ((412,), r"insufficient resources .* existing volume", lambda _: _no_room(Scope.VOLUME_HOST)),
        ((412,), r"machine_version", lambda _: Refused),
        ((412,), r"getting replaced", lambda _: partial(WrongState, current=MachineState.REPLACING.value)),
        ((408,), r"failed to reach desired state", _state),
        ((409, 412), _CURRENT.pattern, _state),
        ((409,), r"concurrent update", lambda _: partial(WrongState, current=MachineState.UPDATING.value)),
        ((422,), r"could not find a candidate host", lambda _: _no_room(Scope.REGION)),
    )
)

_STATUSES: Final[Mapping[int, _Kind]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotThere,
    408: CloudSilent,  # Fly's own upstream did not answer it in time: the outcome is unknown
    409: WrongState,
    412: WrongState,
}


def fault(action: str, status: int, body: bytes, headers: Mapping[str, str], *, hide: Iterable[str] = ()) -> CloudError:
    """The error that says what Fly's answer to `action` means. Takes any bytes; never raises.

    `headers` in lower case. `hide` are secrets that went out with the request (the token, values of env): should
    Fly repeat one of them, it is blotted out before anything else reads the text.
    """
    code, words = _read(body)
    text = _blot(words, hide)
    message = f"{action}: {status} {text[:_LONGEST_MESSAGE]}".rstrip()
    request_id = _blot(headers.get("fly-request-id", ""), hide)[:100] or None
    if status == 429:
        wait = _seconds(headers.get("retry-after", ""))
        return RateLimited(message, retry_after=wait, status=status, request_id=request_id)
    return _kind(action, status, code, text)(message, status=status, request_id=request_id)


def state_named(text: str) -> str | None:
    """The state that Fly says the Machine is in, if the text names one: `currently <state>` and its kin."""
    found = _CURRENT.search(text)
    return (found[1] or found[2]).lower() if found else None


def _kind(action: str, status: int, code: str | None, text: str) -> _Kind:
    if status < 400:
        return CloudBroken  # a success we cannot read, or a redirect: it may well have acted
    if code is not None and code in _CODES:
        return _CODES[code]
    for statuses, pattern, kind in _TEXTS:
        if (statuses is None or status in statuses) and (found := pattern.search(text)):
            return kind(found)
    if status == 412 and _ATTACHED.search(text):
        # A Machine cannot be made with it, which no repeating mends; but its deletion only has to wait for detachment.
        return WrongState if action == "delete_volume" else Refused
    if action == "wait" and status in (400, 408, 422):
        # Which 4xx a wait on a replaced version gets is not documented, so its words count on all of them.
        current = state_named(text)
        if current or status == 408:
            return partial(WrongState, current=current)
    if status >= 500:
        return CloudBroken
    return _STATUSES.get(status, Refused)


def _read(body: bytes) -> tuple[str | None, str]:
    """The body's code and its words. Lease answers say `message`, others `error`, some are not JSON at all."""
    raw = body[:_LONGEST_BODY].decode("utf-8", "replace")
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        return None, raw
    if not isinstance(parsed, dict):
        return None, raw
    code = parsed.get("status")
    words = next((parsed[key] for key in ("message", "error") if isinstance(parsed.get(key), str)), raw)
    return (code if isinstance(code, str) else None), words


def _blot(text: str, hide: Iterable[str]) -> str:
    """`text` on one line, without secrets."""
    for secret in sorted({part for whole in hide for part in (whole, *whole.split(",")) if part}, key=len)[::-1]:
        text = text.replace(secret, "[hidden]")
    return " ".join(_TOKENS.sub("[hidden]", text).split())


def _seconds(value: str) -> float | None:
    """`Retry-After` in seconds, or None for its date form and for nonsense."""
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _instant(value: str | None) -> datetime | None:
    """An RFC 3339 instant as aware UTC, or None."""
    try:
        return datetime.fromisoformat((value or "").rstrip(".,\"'})")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
