"""The app that holds the Machines: there, and ours."""

from contextlib import suppress
from typing import Final

from provisioner.clock import Clock
from provisioner.errors import NameTaken, NotAllowed, NotThere
from provisioner.fly import calls
from provisioner.fly.wire import Wire

_PERSONAL: Final = "personal"
"""Fly's alias for the token owner's own organisation, whose true slug is another word."""

_APPEARS_WITHIN: Final = 30.0  # seconds; Fly's own client gives a new app a minute
_LOOK_AGAIN: Final = 0.25


async def ensure_app(wire: Wire, clock: Clock, app: str, org_slug: str) -> None:
    """Return when `app` exists and belongs to `org_slug`, having made it if need be.

    Replicas may race: one makes it, the others find it. Raises NameTaken if it is somebody else's.
    """
    try:
        _verify(app, await wire.send(calls.get_app(app)), org_slug)
        return
    except NotThere:
        pass
    except NotAllowed as error:
        if error.status == 403:
            raise _taken(app, error.request_id) from error
        raise
    with suppress(NameTaken):  # perhaps by another replica of ours, a moment ago: whose it is tells the look below
        await wire.send(calls.create_app(app, org_slug))
    await _appear(wire, clock, app, org_slug)


async def _appear(wire: Wire, clock: Clock, app: str, org_slug: str) -> None:
    """Just after its creation an app may answer 404, or 401, for a moment."""
    until = clock.monotonic() + _APPEARS_WITHIN
    while True:
        try:
            return _verify(app, await wire.send(calls.get_app(app)), org_slug)
        except (NotThere, NotAllowed) as error:
            if error.status == 403:
                raise _taken(app, error.request_id) from error
            if clock.monotonic() + _LOOK_AGAIN > until:
                raise
        await clock.sleep(_LOOK_AGAIN)


def _verify(app: str, owner: str, org_slug: str) -> None:
    if owner != org_slug and _PERSONAL not in (owner, org_slug):
        raise _taken(app, None)


def _taken(app: str, request_id: str | None) -> NameTaken:
    return NameTaken(f"the app name {app} belongs to another organisation", request_id=request_id)
