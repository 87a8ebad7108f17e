"""What each request to Fly looks like: one function per call we make, from values to a value; nothing is sent here."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Generic, TypeVar

from provisioner.fly import machine as shape
from provisioner.instance import Guest, MachineId
from provisioner.ports import Machine, MachineSpec, MachineState, Volume, VolumeSource

T = TypeVar("T")

_SEGMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SHORTEST_SECRET: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T]):
    """One request. `action` and `target` are what the log says."""

    action: str
    method: str
    path: str
    app: str
    target: str
    read: Callable[[object], T] = field(repr=False)
    """From the answer's JSON (None if it was empty); raises ValueError."""
    budget: str | None = None
    """What Fly counts the action against: a Machine, or the app. None: `target`."""
    params: Sequence[tuple[str, str]] = ()
    body: Mapping[str, object] | None = field(default=None, repr=False)
    hold: timedelta = timedelta()
    """How long Fly may hold the answer back on purpose, on top of the usual time limit."""
    hide: frozenset[str] = field(default=frozenset(), repr=False)
    """Secrets within the body, to be blotted out of any error."""

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again when nobody knows if it was done: it asks, or deletes by an id used once."""
        return self.method in ("GET", "DELETE")


def get_app(app: str) -> Call[shape.AppSeen]:
    return Call(action="get_app", method="GET", path=_app(app), app=app, target=app, read=shape.app_of)


def list_apps(org_slug: str) -> Call[dict[str, str]]:
    return Call(
        action="list_apps",
        method="GET",
        path="/v1/apps",
        app="",
        target=org_slug,
        read=shape.apps_of,
        params=[("org_slug", org_slug)],
    )


def create_app(app: str, org_slug: str, *, network: str | None = None) -> Call[None]:
    """`network` is settled here for ever; None is the organisation's default one."""
    _segment(app)
    # Fly's guides say `app_name`, its OpenAPI document and its own Go client say `name`.
    body = {"app_name": app, "name": app, "org_slug": org_slug} | ({"network": network} if network else {})
    return Call(
        action="create_app",
        method="POST",
        path="/v1/apps",
        app=app,
        target=app,
        read=_nothing,
        body=body,
    )


def delete_app(app: str) -> Call[None]:
    """Answered before it is done; takes Machines and volumes along."""
    return Call(
        action="delete_app",
        method="DELETE",
        path=_app(app),
        app=app,
        target=app,
        budget="",  # Fly counts these for the organisation as a whole
        read=_nothing,
        params=[("force", "true")],
    )


def assign_address(app: str, *, network: str) -> Call[str | None]:
    """A Flycast address, to be reached from `network` ("": the default one). Reads it if the answer tells."""
    body = {"type": "private_v6"} | ({"network": network} if network else {})
    path = f"{_app(app)}/ip_assignments"
    return Call(
        action="assign_address", method="POST", path=path, app=app, target=app, read=shape.address_of, body=body
    )


def list_addresses(app: str) -> Call[str | None]:
    """Reads the Flycast address, None if there is none."""
    path = f"{_app(app)}/ip_assignments"
    return Call(action="list_addresses", method="GET", path=path, app=app, target=app, read=shape.flycast_of)


def create_volume(
    app: str, *, name: str, region: str, size_gb: int, guest: Guest, source: VolumeSource | None = None
) -> Call[Volume]:
    body = shape.volume_body(name=name, region=region, size_gb=size_gb, guest=guest, source=source)
    path = f"{_app(app)}/volumes"
    return Call(action="create_volume", method="POST", path=path, app=app, target=app, read=shape.volume_of, body=body)


def list_volumes(app: str) -> Call[list[Volume]]:
    path = f"{_app(app)}/volumes"
    return Call(action="list_volumes", method="GET", path=path, app=app, target=app, read=shape.volumes_of)


def list_snapshots(app: str, volume_id: str) -> Call[str | None]:
    """Reads the id of the newest finished one."""
    return Call(
        action="list_snapshots",
        method="GET",
        path=f"{_app(app)}/volumes/{_segment(volume_id)}/snapshots",
        app=app,
        target=volume_id,
        budget=app,
        read=shape.latest_snapshot_of,
    )


def delete_volume(app: str, volume_id: str) -> Call[None]:
    path = f"{_app(app)}/volumes/{_segment(volume_id)}"
    return Call(
        action="delete_volume", method="DELETE", path=path, app=app, target=volume_id, budget=app, read=_nothing
    )


def extend_volume(app: str, volume_id: str, size_gb: int) -> Call[None]:
    return Call(
        action="extend_volume",
        method="PUT",
        path=f"{_app(app)}/volumes/{_segment(volume_id)}/extend",
        app=app,
        target=volume_id,
        budget=app,
        read=_nothing,
        body={"size_gb": size_gb},
    )


def get_volume(app: str, volume_id: str) -> Call[Volume]:
    path = f"{_app(app)}/volumes/{_segment(volume_id)}"
    return Call(
        action="get_volume", method="GET", path=path, app=app, target=volume_id, budget=app, read=shape.volume_of
    )


def create_machine(app: str, spec: MachineSpec) -> Call[Machine]:
    return Call(
        action="create_machine",
        method="POST",
        path=f"{_app(app)}/machines",
        app=app,
        target=app,
        read=shape.machine_of,
        body=shape.machine_body(spec),
        hide=frozenset(value for value in spec.env.values() if len(value) >= _SHORTEST_SECRET),
    )


def list_machines(app: str, metadata: Mapping[str, str]) -> Call[list[Machine]]:
    return Call(
        action="list_machines",
        method="GET",
        path=f"{_app(app)}/machines",
        app=app,
        target=app,
        read=shape.machines_of,
        params=[(f"metadata.{key}", value) for key, value in metadata.items()],
    )


def get_machine(app: str, machine_id: MachineId) -> Call[Machine]:
    path = _machine(app, machine_id)
    return Call(action="get_machine", method="GET", path=path, app=app, target=machine_id, read=shape.machine_of)


def get_config(app: str, machine_id: MachineId) -> Call[tuple[Machine, Mapping[str, object]]]:
    path = _machine(app, machine_id)
    return Call(action="get_machine", method="GET", path=path, app=app, target=machine_id, read=shape.config_of)


def update_machine(app: str, machine_id: MachineId, body: Mapping[str, object]) -> Call[Machine]:
    """`body` as `machine.update_body` makes it. The secrets in its environment are blotted out of errors."""
    config = body.get("config")
    env = config.get("env") if isinstance(config, dict) else None
    values = env.values() if isinstance(env, dict) else ()
    return Call(
        action="update_machine",
        method="POST",
        path=_machine(app, machine_id),
        app=app,
        target=machine_id,
        read=shape.machine_of,
        body=body,
        hide=frozenset(value for value in values if isinstance(value, str) and len(value) >= _SHORTEST_SECRET),
    )


def start(app: str, machine_id: MachineId) -> Call[bool]:
    path = f"{_machine(app, machine_id)}/start"
    return Call(action="start", method="POST", path=path, app=app, target=machine_id, read=shape.resumes_of)


def stop(app: str, machine_id: MachineId, *, signal: str, timeout: timedelta) -> Call[None]:
    path = f"{_machine(app, machine_id)}/stop"
    body = {"signal": signal, "timeout": shape.go_duration(timeout)}
    return Call(action="stop", method="POST", path=path, app=app, target=machine_id, read=_nothing, body=body)


def suspend(app: str, machine_id: MachineId) -> Call[None]:
    path = f"{_machine(app, machine_id)}/suspend"
    return Call(action="suspend", method="POST", path=path, app=app, target=machine_id, read=_nothing)


def wait(
    app: str, machine_id: MachineId, *, version: str, states: Sequence[MachineState], seconds: int
) -> Call[MachineState | None]:
    """Reads the state reached, None if the answer leaves it out. `version` "" is whatever it is at."""
    return Call(
        action="wait",
        method="GET",
        path=f"{_machine(app, machine_id)}/wait",
        app=app,
        target=machine_id,
        read=shape.reached_of,
        # `instance_id` is the older name of `version`; one of them must be there when `stopped` is waited for.
        params=[
            *(("state", state.value) for state in states),
            ("timeout", str(seconds)),
            *((name, version) for name in ("version", "instance_id") if version),
        ],
        hold=timedelta(seconds=seconds),
    )


def destroy(app: str, machine_id: MachineId) -> Call[None]:
    path = _machine(app, machine_id)
    return Call(
        action="destroy",
        method="DELETE",
        path=path,
        app=app,
        target=machine_id,
        read=_nothing,
        params=[("force", "true")],
    )


def _app(app: str) -> str:
    return f"/v1/apps/{_segment(app)}"


def _machine(app: str, machine_id: MachineId) -> str:
    return f"{_app(app)}/machines/{_segment(machine_id)}"


def _segment(name: str) -> str:
    """`name`, if it is one path segment. An empty id would turn a call on one thing into a call on all of them."""
    if not _SEGMENT.fullmatch(name):
        raise ValueError(f"{name!r} cannot be an app or an id at Fly")
    return name


def _nothing(_: object) -> None:
    """The answer says nothing we need."""
