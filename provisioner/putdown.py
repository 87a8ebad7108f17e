"""From a running Machine to a sleeping one, or to none at all."""

from datetime import timedelta
from typing import Literal

import structlog

from provisioner import naming
from provisioner.errors import CloudError, Refused, WrongState
from provisioner.fit import Fit, fit_for, fits
from provisioner.instance import Event, Instance, Isolation, State
from provisioner.parts import Parts
from provisioner.ports import Lease, Machine, MachineState

log = structlog.get_logger(__name__)

ASLEEP = {State.SUSPENDED: MachineState.SUSPENDED, State.STOPPED: MachineState.STOPPED}
AT_REST = (MachineState.SUSPENDED, MachineState.STOPPED, MachineState.FAILED)


class PutDown:
    """One Instance on its way to sleep or out, under its lease. Each step is recorded before it is asked of Fly."""

    def __init__(self, parts: Parts, lease: Lease, *, actor: str) -> None:
        self._parts = parts
        self._lease = lease
        self._actor = actor

    async def sleep(
        self, instance: Instance, goal: Literal[State.SUSPENDED, State.STOPPED], *, grace: timedelta, why: str
    ) -> Instance:
        """The Instance asleep: suspended, or stopped where `goal` says so, the platform cannot suspend it, or its
        Machine has to be changed (see `provisioner.fit`), which is done then.

        Within `grace` any hit moves it back to ACTIVE; then this raises Moved and nothing was put to sleep. Without
        grace it is an order: open requests are cut.
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
            if grace and self._parts.traffic.busy(instance.user_id):
                return await self._move(instance, Event.HIT, {"why": "a request is waiting for its answer"})
            # The step first: from here on no new request is sent to the Machine, then what is open is ended.
            instance = await self._move(instance, Event.SUSPEND if goal is State.SUSPENDED else Event.STOP, detail)
            await self._parts.traffic.end(instance)
        elif instance.state is State.SUSPENDED and goal is State.STOPPED:
            instance = await self._move(instance, Event.STOP, detail)
        return await self.finish(instance)

    async def finish(self, instance: Instance) -> Instance:
        """Bring SUSPENDING to SUSPENDED and STOPPING to STOPPED; any other state is left as it is."""
        if instance.state is State.SUSPENDING:
            try:
                await self._suspend(instance)
            except (Refused, WrongState) as fault:
                # Too large, wrong kind, or not running: facts say the refusal has no settled form. Stop always works.
                log.info("suspend_refused", user_id=str(instance.user_id), error=str(fault))
                instance = await self._move(instance, Event.STOP, {"why": "could not be suspended"})
            else:
                return await self._move(instance, Event.ASLEEP)
        if instance.state is State.STOPPING:
            await self._stop(instance)
            instance = await self._refit(instance)
            return await self._move(instance, Event.ASLEEP)
        return instance

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
            for volume in await parts.cloud.volumes(app):
                # By name as well as by id: an answer may have been lost before the id was written down.
                if volume.id == instance.volume_id or volume.name == naming.volume_name(instance.user_id):
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

    async def _suspend(self, instance: Instance) -> None:
        machine = await self._seen(instance)
        if machine is None or machine.state is MachineState.SUSPENDED:
            return
        if machine.state is not MachineState.SUSPENDING:
            await self._parts.cloud.suspend(instance.app_name, machine.id)
        reached = await self._settled(instance, machine)
        if reached is not MachineState.SUSPENDED:
            raise WrongState("it did not come to rest suspended", current=reached)

    async def _stop(self, instance: Instance) -> None:
        machine = await self._seen(instance)
        if machine is None or machine.state in (MachineState.STOPPED, MachineState.FAILED):
            return
        if machine.state is not MachineState.STOPPING:
            grace = self._parts.settings.stop_grace
            await self._parts.cloud.stop(instance.app_name, machine.id, signal="SIGTERM", timeout=grace)
        reached = await self._settled(instance, machine, (MachineState.STOPPED, MachineState.FAILED))
        log.debug("stopped", user_id=str(instance.user_id), reached=reached)

    def _fit(self, instance: Instance) -> Fit:
        return fit_for(instance, self._parts.plans.of(instance.user_id), image=instance.image)

    def _fits(self, instance: Instance) -> bool:
        return fits(instance, self._fit(instance))

    async def _refit(self, instance: Instance) -> Instance:
        """Change what does not fit while the Machine is stopped. If Fly will not, it sleeps as it is: next time."""
        fit = self._fit(instance)
        if fits(instance, fit) and instance.guest is not None:
            return instance
        try:
            return await refit(self._parts, self._lease, instance, fit)
        except CloudError as fault:
            log.warning("not_refitted", user_id=str(instance.user_id), error=str(fault))
            return instance

    async def _seen(self, instance: Instance) -> Machine | None:
        if instance.machine_id is None:
            return None
        return await self._parts.cloud.machine(instance.app_name, instance.machine_id)

    async def _settled(
        self, instance: Instance, machine: Machine, states: tuple[MachineState, ...] = AT_REST
    ) -> MachineState:
        within = self._parts.settings.sleep_within
        return await self._parts.cloud.wait(instance.app_name, machine, states, timeout=within)

    async def _move(self, instance: Instance, event: Event, detail: dict[str, str] | None = None) -> Instance:
        return await self._parts.store.move(
            instance.user_id, instance.state, event, actor=self._actor, lease=self._lease, detail=detail
        )


async def refit(parts: Parts, lease: Lease, instance: Instance, fit: Fit) -> Instance:
    """Give its Machine, which rests, the size and image of `fit`, and its volume room; recorded as each is done.

    Repeatable after any failure. Raises CloudError, Moved.
    """
    if instance.volume_id is not None and (instance.volume_gb is None or instance.volume_gb < fit.volume_gb):
        await parts.cloud.extend_volume(instance.app_name, instance.volume_id, fit.volume_gb)
        instance = await parts.store.record(lease, volume_gb=fit.volume_gb)
    if instance.machine_id is not None and (instance.guest, instance.image) != (fit.guest, fit.image):
        machine = await parts.cloud.update(instance.app_name, instance.machine_id, image=fit.image, guest=fit.guest)
        await parts.cloud.wait(instance.app_name, machine, AT_REST, timeout=parts.settings.sleep_within)
        was = instance
        instance = await parts.store.record(lease, guest=fit.guest, image=fit.image)
        log.info("refitted", user_id=str(instance.user_id), guest=str(fit.guest), was=str(was.guest), image=fit.image)
    return instance


async def quietly_stop(parts: Parts, instance: Instance) -> None:
    """After a wake that was given up: do not leave the Machine running behind our back. Best effort."""
    if instance.machine_id is None:
        return
    try:
        await parts.cloud.stop(
            instance.app_name, instance.machine_id, signal="SIGTERM", timeout=parts.settings.stop_grace
        )
    except CloudError as fault:
        log.warning("late_boot_not_stopped", user_id=str(instance.user_id), error=str(fault))
