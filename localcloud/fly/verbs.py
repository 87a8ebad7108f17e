"""What the API may ask of a Machine: each verb checks, does what it can at once, and begins an errand."""

import asyncio
import signal
from collections.abc import Callable, Sequence

from localcloud.fly import config as configs
from localcloud.fly import errors, ids, regions
from localcloud.fly.clock import rfc3339
from localcloud.fly.deadline import within
from localcloud.fly.host import Host
from localcloud.fly.life import Life
from localcloud.fly.records import App, Json, Machine, Waiter
from localcloud.fly.states import RESTING, Event, State, allows
from localcloud.fly.world import World

_DEFAULT_STOP = ("SIGINT", "5s")
_LONGEST_STOP = 300.0  # seconds
_MOUNTABLE = ("created", "hydrating")


class Verbs:
    """Every method raises Refused, and then has changed nothing."""

    def __init__(self, world: World, life: Life, host: Host) -> None:
        self._world, self._life, self._host = world, life, host

    def create(self, app: App, body: Json, *, boot_fails: bool) -> Machine:
        """A new Machine, on its way to `started` unless the body says skip_launch."""
        world = self._world
        if app.status == "deleting":
            raise errors.not_found("app")
        config = configs.complete(body.get("config"))
        region = regions.resolve(body.get("region"), world.default_region)
        name = body.get("name") or ids.machine_name()
        if (other := world.namesake(app.name, name)) is not None:
            raise errors.machine_name_taken(other.id, name)
        now = world.clock.now()
        machine = Machine(
            id=ids.machine_id(),
            app=app.name,
            name=name,
            region=region,
            config=config,
            version=ids.ulid(now),
            private_ip=world.addresses.take(),
            created_at=rfc3339(now),
            updated_at=rfc3339(now),
            secrets={} if body.get("skip_secrets") else _values(app),
        )
        self._attach(machine)
        machine.versions.append({"version": machine.version, "user_config": config})
        app.status = "deployed"
        world.add(machine)
        world.births[machine.id] = world.clock.monotonic()
        machine.note(world.clock, kind="launch", source="user")
        world.changed()
        self._life.begin(machine, self._life.launch(machine, skip=bool(body.get("skip_launch")), fails=boot_fails))
        return machine

    def _attach(self, machine: Machine) -> None:
        for volume_id in machine.volume_ids:
            volume = self._world.volumes.get(volume_id)
            if volume is None or volume.app != machine.app or volume.state not in _MOUNTABLE:
                raise errors.volume_gone()
            if volume.region != machine.region:
                raise errors.invalid(f"config.mounts: volume {volume_id} is in region {volume.region}")
            if volume.attached_machine_id not in (None, machine.id):
                raise errors.volume_attached(volume_id, str(volume.attached_machine_id))
        for volume_id in machine.volume_ids:
            self._world.volumes[volume_id].attached_machine_id = machine.id

    def update(self, app: App, machine: Machine, body: Json) -> None:
        """Replace the whole config: a new version, and a reboot of a Machine that runs."""
        config = configs.complete(body.get("config"))
        if body.get("name") not in (None, "", machine.name):
            raise errors.invalid("name: the name of a machine cannot be changed")
        if body.get("region") not in (None, "", machine.region):
            raise errors.invalid("region: the region of a machine cannot be changed")
        if [m["volume"] for m in config.get("mounts", [])] != machine.volume_ids:
            raise errors.invalid("config.mounts: the volume of a machine cannot be changed")
        if body.get("current_version") not in (None, "", machine.version):
            raise errors.stale_version(machine.version)
        if machine.state is State.UPDATING:
            raise errors.concurrent_update()
        if not allows(machine.state, Event.UPDATE) or not machine.prepared:
            raise errors.wrong_state("update", machine.state)
        number, timeout = _stop_terms(machine, {})
        outcome = Event.UPDATED
        if machine.state is State.STARTED:
            outcome = Event.UNLAUNCHED if body.get("skip_launch") else Event.START
        elif machine.state is State.CREATED:
            outcome = Event.UNLAUNCHED
        if machine.state is State.SUSPENDED:
            number = signal.SIGKILL  # the snapshot belongs to the old version
        machine.config = config
        machine.version = ids.ulid(self._world.clock.now())
        machine.versions.append({"version": machine.version, "user_config": config})
        machine.secrets = {} if body.get("skip_secrets") else _values(app)
        machine.restarts = 0
        self._life.move(machine, Event.UPDATE, kind="update", source="user")
        self._life.begin(machine, self._life.update(machine, outcome, number, timeout))

    def start(self, machine: Machine, *, boot_fails: bool) -> State:
        """Boot or resume; the state before. Cancels a suspend that is under way."""
        before = machine.state
        if before is State.STARTED:
            return before
        if before is State.UPDATING:
            raise errors.being_replaced()
        if not allows(before, Event.START) or not machine.prepared or before is State.RESTARTING:
            raise errors.wrong_state("start", before)
        machine.restarts = 0
        self._life.interrupt(machine)
        self._life.move(machine, Event.START, kind="start", source="user")
        if before is State.SUSPENDING:
            if machine.process is not None:
                machine.process.thaw()
        elif before is State.SUSPENDED and not boot_fails:
            self._life.begin(machine, self._life.resume(machine))
        else:
            self._life.begin(machine, self._life.boot(machine, fails=boot_fails))
        return before

    def stop(self, machine: Machine, body: Json) -> None:
        """End the main process: a signal, then a kill. Nothing to do for one that is stopped already."""
        number, timeout = _stop_terms(machine, body)
        if machine.state is State.STOPPED:
            self._life.interrupt(machine)  # it may be about to be restarted
            return
        if machine.state is State.STOPPING:
            return
        if not allows(machine.state, Event.STOP):
            raise errors.wrong_state("stop", machine.state)
        if machine.state is State.SUSPENDED:
            number = signal.SIGKILL
        self._life.move(machine, Event.STOP, kind="stop", source="user")
        self._life.begin(machine, self._life.stop(machine, number, timeout))

    def suspend(self, machine: Machine) -> None:
        """Freeze it where it is. Its processes stand still when this returns; `suspended` comes later."""
        if not allows(machine.state, Event.SUSPEND):
            raise errors.wrong_state("suspend", machine.state)
        if reason := configs.unsuspendable_because(machine.config):
            raise errors.unsuspendable(reason)
        self._life.move(machine, Event.SUSPEND, kind="suspend", source="user")
        if machine.process is not None:
            machine.process.freeze()
        self._life.begin(machine, self._life.freeze(machine))

    def restart(self, machine: Machine, terms: Json, *, force: bool) -> None:
        """Another main process in the same version."""
        number, timeout = _stop_terms(machine, terms)
        if not allows(machine.state, Event.RESTART):
            raise errors.wrong_state("restart", machine.state)
        machine.restarts = 0
        self._life.move(machine, Event.RESTART, kind="restart", source="user")
        self._life.begin(machine, self._life.restart(machine, signal.SIGKILL if force else number, timeout))

    def signal(self, machine: Machine, name: str) -> None:
        """Send a signal to the main process."""
        if machine.state is not State.STARTED:
            raise errors.wrong_state("signal", machine.state)
        if machine.process is not None:
            machine.process.signal(signal.Signals[name])

    def destroy(self, machine: Machine, *, force: bool) -> None:
        """The end of a Machine that rests, or with `force` of any. Asking again is fine."""
        if machine.state is State.DESTROYED:
            raise errors.not_found("machine")
        if machine.state is State.DESTROYING:
            return
        event = Event.KILL if force else Event.DESTROY
        if not allows(machine.state, event):
            raise errors.wrong_state("destroy", machine.state)
        self._life.move(machine, event, kind="destroy", source="user")
        self._life.begin(machine, self._life.destroy(machine))

    async def execute(self, machine: Machine, command: Sequence[str], *, stdin: str, timeout: float) -> Json:
        """Run `command` in the Machine, for `timeout` seconds at most. A failed command is no refusal."""
        if machine.state is not State.STARTED:
            raise errors.wrong_state("exec in", machine.state)
        outcome = await self._host.execute(machine, command, stdin=stdin, timeout=timeout)
        if outcome is None:
            raise errors.refusal(408, "deadline_exceeded: command timed out")
        return outcome

    async def wait(
        self, machine: Machine, wanted: Sequence[str], *, version: str | None, from_event: str | None, timeout: float
    ) -> Json:
        """Return as soon as the Machine is in one of the `wanted` states; raises Refused(408) after `timeout`."""
        words = ",".join(wanted)
        if version not in (None, machine.version):
            if all(old["version"] != version for old in machine.versions):
                raise errors.not_found("machine version")
            raise errors.wait_expired(words, "replaced")
        passed = _events_after(machine, from_event)
        if met := next((event for event in passed if event["status"] in wanted), None):
            return {"ok": True, "state": met["status"], "event_id": met["id"], "version": machine.version}
        wish = _wish(wanted, version)
        if from_event is None and wish(machine):
            return machine.reached()
        if machine.state is State.DESTROYED:
            raise errors.wait_expired(words, machine.state)
        waiter = Waiter(wish, asyncio.get_running_loop().create_future())
        machine.waiters.append(waiter)
        try:
            if await within(self._world.clock, timeout, waiter.met):
                return waiter.met.result()
        finally:
            if waiter in machine.waiters:
                machine.waiters.remove(waiter)
        replaced = version not in (None, machine.version)
        raise errors.wait_expired(words, "replaced" if replaced else machine.state)


def _wish(wanted: Sequence[str], version: str | None) -> Callable[[Machine], bool]:
    def met(machine: Machine) -> bool:
        if version not in (None, machine.version):
            return False
        # `created` is both the rest of a Machine that nobody launched and the wait for its image
        settled = machine.state in RESTING and machine.errand is None
        return machine.state in wanted or ("settled" in wanted and settled)

    return met


def _events_after(machine: Machine, event_id: str | None) -> list[Json]:
    if event_id is None:
        return []
    known = [event["id"] for event in machine.events]
    if event_id not in known:
        raise errors.invalid(f"from_event_id: unknown event {event_id}")
    return machine.events[known.index(event_id) + 1 :]


def _stop_terms(machine: Machine, wanted: Json) -> tuple[signal.Signals, float]:
    """Signal and patience: as asked, else as configured, else Fly's defaults."""
    configured = machine.config.get("stop_config", {})
    name = wanted.get("signal") or configured.get("signal") or _DEFAULT_STOP[0]
    patience = wanted.get("timeout") or configured.get("timeout") or _DEFAULT_STOP[1]
    return signal.Signals[name], min(configs.seconds(patience), _LONGEST_STOP)


def _values(app: App) -> dict[str, str]:
    return {name: secret["value"] for name, secret in app.secrets.items()}
