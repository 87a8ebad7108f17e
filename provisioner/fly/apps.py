"""Apps: the one that all share, and those that hold one user each. There, and ours."""

from contextlib import suppress
from typing import Final

from provisioner.clock import Clock
from provisioner.errors import (
    CloudBroken,
    CloudError,
    CloudSilent,
    NameTaken,
    NotAllowed,
    NotThere,
    Refused,
    WrongState,
)
from provisioner.fly import calls
from provisioner.fly.machine import AppSeen
from provisioner.fly.wire import Wire

_PERSONAL: Final = "personal"
"""Fly's alias for the token owner's own organisation, whose true slug is another word."""

_APPEARS_WITHIN: Final = 30.0  # seconds; Fly's own client gives a new app a minute
_FOUND_WITHIN: Final = 3.0  # after an answer that did not come: most likely there is none
_GONE_WITHIN: Final = 20.0
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


async def create_app(wire: Wire, clock: Clock, app: str, org_slug: str, *, network: str) -> str:
    """See `provisioner.ports.Cloud.create_app`. A name that is taken, or a lost answer, is looked after."""
    lost: CloudError | None = None
    try:
        await wire.send(calls.create_app(app, org_slug, network=network))
    except (NameTaken, CloudSilent, CloudBroken) as error:
        lost = error
    within = _APPEARS_WITHIN if lost is None else _FOUND_WITHIN
    try:
        return (await _appear(wire, clock, app, org_slug, network=network, within=within)).id
    except NotThere:
        raise lost or CloudSilent(f"create_app: {app} does not appear") from None


async def assign_address(wire: Wire, app: str, *, network: str) -> str:
    """See `provisioner.ports.Cloud.assign_address`. Fly refuses a second one, and then the first is the one."""
    refused: CloudError | None = None
    try:
        if address := await wire.send(calls.assign_address(app, network=network)):
            return address
    except (Refused, WrongState, CloudSilent, CloudBroken) as error:
        refused = error
    if found := await wire.send(calls.list_addresses(app)):
        return found
    raise refused or CloudBroken(f"assign_address: {app} has no private address")


async def delete_app(wire: Wire, clock: Clock, app: str, org_slug: str, *, network: str) -> None:
    """See `provisioner.ports.Cloud.delete_app`."""
    try:
        _verify(app, await wire.send(calls.get_app(app)), org_slug, network)
    except (NotThere, NameTaken):
        return
    except NotAllowed as error:
        if error.status == 403:
            return  # it is another organisation's
        raise
    with suppress(NotThere):
        await wire.send(calls.delete_app(app))
    until = clock.monotonic() + _GONE_WITHIN
    with suppress(NotThere):
        while clock.monotonic() < until:
            await wire.send(calls.get_app(app))
            await clock.sleep(_LOOK_AGAIN)
        raise CloudSilent(f"delete_app: {app} is still there")


async def _appear(
    wire: Wire, clock: Clock, app: str, org_slug: str, *, network: str | None = None, within: float = _APPEARS_WITHIN
) -> AppSeen:
    """Just after its creation an app may answer 404, or 401, for a moment."""
    until = clock.monotonic() + within
    while True:
        try:
            return _verify(app, await wire.send(calls.get_app(app)), org_slug, network)
        except (NotThere, NotAllowed) as error:
            if error.status == 403:
                raise _taken(app, error.request_id) from error
            if clock.monotonic() + _LOOK_AGAIN > until:
                raise
        await clock.sleep(_LOOK_AGAIN)


def _verify(app: str, seen: AppSeen, org_slug: str, network: str | None = None) -> AppSeen:
    if seen.organisation != org_slug and _PERSONAL not in (seen.organisation, org_slug):
        raise _taken(app, None)
    if network is not None and seen.network != network:
        raise NameTaken(f"the app {app} is in another network than ours")
    return seen


def _taken(app: str, request_id: str | None) -> NameTaken:
    return NameTaken(f"the app name {app} belongs to another organisation", request_id=request_id)
