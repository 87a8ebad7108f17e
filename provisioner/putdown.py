"""From a running Machine to a sleeping one, or to none at all."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, Literal

import structlog

from provisioner import naming
from provisioner.errors import CloudError, NotThere, Refused, WrongState
from provisioner.fit import fits
from provisioner.instance import Event, Instance, Isolation, MachineId, State
from provisioner.making import Making, machine_of
from provisioner.parts import Parts
from provisioner.plan import Act, plan
from provisioner.ports import Lease, Machine, MachineState
from provisioner.refit import AT_REST, fit_of, try_refit

log = structlog.get_logger(__name__)

LOOK_AGAIN_S: Final = 0.5
OTHERS_S: Final = 3.0
"""For other replicas to close their streams; a WebSocket client has 2 s to answer."""

Objection = Callable[[Instance], Awaitable[str | None]]
"""Why this Instance is not to be put to sleep after all; None if there is nothing to say against it."""


async def nothing_to_say(_: Instance) -> None:
    """No objection."""


class PutDown:
    """One Instance on its way to sleep or out, under its lease. Each step is recorded before it is asked of Fly."""

    def __init__(self, parts: Parts, lease: Lease, *, actor: str) -> None:
        self._parts = parts
        self._lease = lease
        self._actor = actor

    async def sleep(
        self,
        instance: Instance,
        goal: Literal[State.SUSPENDED, State.STOPPED],
        *,
        grace: timedelta,
        why: str,
        objection: Objection = nothing_to_say,
    ) -> Instance:
        """The Instance asleep: suspended, or stopped where `goal` says so, the platform cannot suspend it, or its
        Machine has to be changed (see `provisioner.fit`), which is done then.

        Within `grace` any hit, and any replica that serves the user, moves it back to ACTIVE; then this raises Moved
        and nothing was put to sleep. When it is over, `objection` is asked once more. Without grace it is an order:
        nobody is asked, and open requests are cut.
        Raises CloudError when Fly fails; the record then says how far it came.
        """
        detail = {"why": why}
        if goal is State.SUSPENDED and instance.state in (State.ACTIVE, State.DRAINING) and not self._fits(instance):
            goal, detail = State.STOPPED, {"why": why, "stopped": "its size or image is about to change"}
        if instance.state is State.ACTIVE:
            instance = await self._move(instance, Event.DRAIN, detail)
            if grace:
                await self._parts.clock.sleep(grace.total_seconds())
        if instance.state is State.DRAINING:
            if grace and (why_not := await self._objection(instance, objection)) is not None:
                return await self._move(instance, Event.HIT, {"why": why_not})
            # The step first: from here on no new request is sent to the Machine, then what is open is ended.
            instance = await self._move(instance, Event.SUSPEND if goal is State.SUSPENDED else Event.STOP, detail)
            await self._parts.traffic.end(instance)
            await self._others_end(instance)
        elif instance.state is State.SUSPENDED and goal is State.STOPPED:
            instance = await self._move(instance, Event.STOP, detail)
        return await self.finish(instance)

    async def _objection(self, instance: Instance, objection: Objection) -> str | None:
        if self._parts.traffic.busy(instance.user_id):
            return "a request is waiting for its answer"
        return await objection(instance)

    async def _others_end(self, instance: Instance) -> None:
        """Give other replicas a moment to close what they have open: they heard of the step when it was taken.

        The Guard knows, because all of it passes there. Whatever it says, or if it says nothing, we go on in the end.
        """
        if instance.private_ip is None or instance.machine_id is None:
            return
        parts = self._parts
        endpoint = parts.endpoint(instance.private_ip)
        until = parts.clock.monotonic() + OTHERS_S
        while parts.clock.monotonic() < until:
            assertion = parts.keys.assertion(instance, now=parts.clock.now())
            if not await parts.probe.exchanges(endpoint, assertion, timeout=0.5):
                return
            await parts.clock.sleep(0.1)

    async def finish(self, instance: Instance) -> Instance:
        """Bring SUSPENDING to SUSPENDED and STOPPING to STOPPED, as `plan` says; any other state is left as it is.

        Past the deadline a wedged Machine is ended by force; its volume stays, and the next wake makes another.
        """
        parts, tried = self._parts, False
        while instance.state in (State.SUSPENDING, State.STOPPING):
            machine = await machine_of(parts, instance)
            act = plan(instance, machine, parts.clock.now(), parts.settings.patience)
            if act is Act.SUSPEND and tried:
                act = Act.STOP_INSTEAD
            log.debug("put_down", user_id=str(instance.user_id), act=act)
            match act:
                case Act.SUSPEND | Act.STOP if machine is not None:
                    tried = True
                    instance = await self._ask(instance, machine, act)
                case Act.SETTLE if machine is not None:
                    await self._settled(instance, machine)
                case Act.STOP_INSTEAD:
                    instance = await self._move(instance, Event.STOP, {"why": "could not be suspended"})
                case Act.FORGET:
                    instance = await parts.store.forget_machine(self._lease)
                case Act.REPLACE:
                    log.warning("wedged_machine_ended", user_id=str(instance.user_id), machine_id=instance.machine_id)
                    instance = await Making(parts, self._lease).end_machine(instance)
                case _:
                    if instance.state is State.STOPPING:
                        instance = await self._refit(instance)
                    return await self._move(instance, Event.ASLEEP)
        return instance

    async def _ask(self, instance: Instance, machine: Machine, act: Act) -> Instance:
        """Ask Fly for it, and wait until the Machine comes to rest. What Fly will not suspend is to be stopped."""
        app = instance.app_name
        try:
            if act is Act.SUSPEND:
                await self._parts.cloud.suspend(app, machine.id)
            else:
                await stop_machine(self._parts, app, machine.id)
        except (Refused, WrongState) as fault:
            # Too large, wrong kind, or not running: facts say the refusal has no settled form. Stop always works.
            if act is Act.SUSPEND:
                log.info("suspend_refused", user_id=str(instance.user_id), error=str(fault))
                return await self._move(instance, Event.STOP, {"why": "could not be suspended"})
            log.info("stop_refused", user_id=str(instance.user_id), error=str(fault))
            await self._parts.clock.sleep(LOOK_AGAIN_S)
        else:
            await self._settled(instance, machine)
        return instance

    async def _settled(self, instance: Instance, machine: Machine) -> None:
        """Return when it has come to rest, or may have: the next look tells."""
        states = AT_REST if instance.state is State.SUSPENDING else (MachineState.STOPPED, MachineState.FAILED)
        within = self._parts.settings.sleep_within
        try:
            await self._parts.cloud.wait(instance.app_name, machine, states, timeout=within)
        except (WrongState, NotThere):
            await self._parts.clock.sleep(LOOK_AGAIN_S)

    async def destroy(self, instance: Instance) -> None:
        """End the Machine, its volume, its app if it has one, and the row, in this order: it names them to the last.

        Repeatable after any failure: what is gone already counts as done.
        """
        parts, app = self._parts, instance.app_name
        if instance.state is not State.DELETING:
            instance = await self._move(instance, Event.DELETE)
            await parts.traffic.end(instance)
        if instance.isolation is Isolation.APP:
            # Also when its id was never written down: the answer may have been lost. It takes all along that is in it.
            await parts.cloud.delete_app(app, network=naming.network_name(instance.id))
        else:
            for machine in await self._machines(instance):
                await parts.cloud.destroy(app, machine.id)
            # By name as well as by id: an answer may have been lost before the id was written down. And those that
            # their data moved away from: now they go too.
            kept = {volume.volume_id for volume in await parts.store.kept_volumes(instance.user_id)}
            for volume in await parts.cloud.volumes(app):
                if volume.id in {instance.volume_id, *kept} or volume.name == naming.volume_name(instance.user_id):
                    await parts.cloud.delete_volume(app, volume.id)
        await parts.store.remove(self._lease, actor=self._actor)

    async def _machines(self, instance: Instance) -> list[Machine]:
        settings = self._parts.settings
        tags = naming.ownership(instance, env=settings.env, deployment=settings.deployment)
        found = list(await self._parts.cloud.machines(instance.app_name, tags))
        if instance.machine_id is not None and instance.machine_id not in {machine.id for machine in found}:
            machine = await self._parts.cloud.machine(instance.app_name, instance.machine_id)
            found += [machine] if machine is not None else []
        return found

    def _fits(self, instance: Instance) -> bool:
        return fits(instance, fit_of(self._parts, instance))

    async def _refit(self, instance: Instance) -> Instance:
        """Change what does not fit, or is not known to, while the Machine is stopped."""
        fit = fit_of(self._parts, instance)
        if fits(instance, fit) and instance.guest is not None:
            return instance
        return await try_refit(self._parts, self._lease, instance, fit, actor=self._actor)

    async def _move(self, instance: Instance, event: Event, detail: dict[str, str] | None = None) -> Instance:
        return await self._parts.store.move(
            instance.user_id, instance.state, event, actor=self._actor, lease=self._lease, detail=detail
        )


async def stop_machine(parts: Parts, app: str, machine_id: MachineId) -> None:
    """Ask Fly to end what runs in this Machine: by a signal, and by force after the grace. Raises CloudError."""
    await parts.cloud.stop(app, machine_id, signal="SIGTERM", timeout=parts.settings.stop_grace)


async def quietly_stop(parts: Parts, instance: Instance) -> None:
    """After a wake that was given up: do not leave the Machine running behind our back. Best effort."""
    if instance.machine_id is None:
        return
    try:
        await stop_machine(parts, instance.app_name, instance.machine_id)
    except CloudError as fault:
        log.warning("late_boot_not_stopped", user_id=str(instance.user_id), error=str(fault))
