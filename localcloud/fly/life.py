"""What happens to a Machine by itself: it boots, freezes, ends, crashes and is started again."""

import signal
from collections.abc import Coroutine
from typing import Any

from localcloud.fly.clock import rfc3339
from localcloud.fly.host import Host
from localcloud.fly.process import Running
from localcloud.fly.records import Json, Machine
from localcloud.fly.states import Event, State
from localcloud.fly.world import World


class Life:
    """The errands behind the verbs of the API. A Machine has one at a time: a new one replaces the old."""

    def __init__(self, world: World, host: Host) -> None:
        self._world, self._host = world, host

    def begin(self, machine: Machine, errand: Coroutine[Any, Any, None]) -> None:
        """Let `errand` go on with the Machine's life, giving up on what was going on before."""
        self.interrupt(machine)
        machine.errand = self._world.errands.begin(errand)

    def interrupt(self, machine: Machine) -> None:
        if machine.errand is not None:
            machine.errand.cancel()
            machine.errand = None

    async def launch(self, machine: Machine, *, skip: bool, fails: bool) -> None:
        """Prepare the image; then start, unless told to `skip` that."""
        await self._world.clock.sleep(self._world.latencies.create)
        machine.prepared = True
        if skip:
            self._settle(machine)
            return
        self.move(machine, Event.START, kind="start")
        await self.boot(machine, fails=fails)

    async def boot(self, machine: Machine, *, fails: bool = False) -> None:
        """From `starting` to `started`, or to `failed` if the command cannot be run."""
        await self._world.clock.sleep(self._world.latencies.start)
        self._boot_now(machine, fails=fails)

    def _boot_now(self, machine: Machine, *, fails: bool) -> None:
        try:
            process = None if fails else self._host.boot(machine)
        except (OSError, ValueError):  # ValueError: a NUL in the environment
            fails, process = True, None
        machine.process = process
        if process is not None:
            self._world.errands.begin(self._watch(machine, process))
        self._settle(machine, Event.BROKE if fails else Event.BOOTED, kind="start")

    async def resume(self, machine: Machine) -> None:
        """From a snapshot if there is one, otherwise a cold start: no resume is ever guaranteed."""
        await self._world.clock.sleep(self._world.latencies.resume)
        if machine.process is None:
            self._boot_now(machine, fails=False)
            return
        machine.process.thaw()
        self._settle(machine, Event.BOOTED, kind="start")

    async def freeze(self, machine: Machine) -> None:
        """From `suspending` to `suspended`. The processes stand still already."""
        await self._world.clock.sleep(self._world.latencies.suspend)
        self._settle(machine, Event.FROZEN, kind="suspend")

    async def stop(self, machine: Machine, number: signal.Signals, timeout: float) -> None:
        """From `stopping` to `stopped`, within `timeout` seconds and a kill."""
        code = await self._host.halt(machine, number, timeout)
        await self._world.clock.sleep(self._world.latencies.stop)
        self._settle(machine, Event.EXITED, kind="exit", request=self._exit(machine, code, requested=True))
        if machine.config.get("auto_destroy"):
            self.destroy_soon(machine)

    async def restart(self, machine: Machine, number: signal.Signals, timeout: float) -> None:
        """End the main process and start another."""
        await self._host.halt(machine, number, timeout)
        self.move(machine, Event.START, kind="restart")
        await self.boot(machine)

    async def update(self, machine: Machine, outcome: Event, number: signal.Signals, timeout: float) -> None:
        """Put the new version in place of the old; `outcome` says what comes then."""
        await self._host.halt(machine, number, timeout)
        await self._world.clock.sleep(self._world.latencies.update)
        if outcome is Event.START:
            self.move(machine, Event.START, kind="start")
            await self.boot(machine)
        else:
            self._settle(machine, outcome, kind="update")

    def destroy_soon(self, machine: Machine) -> None:
        """Begin the end of a Machine whatever its state."""
        self.move(machine, Event.KILL, kind="destroy", source="user")
        self.begin(machine, self.destroy(machine))

    async def destroy(self, machine: Machine) -> None:
        """From `destroying` to `destroyed`; its volume is free again."""
        await self._host.kill(machine)
        await self._world.clock.sleep(self._world.latencies.destroy)
        machine.died = self._world.clock.monotonic()
        for volume_id in machine.volume_ids:
            if volume_id in self._world.volumes:
                self._world.volumes[volume_id].attached_machine_id = None
        self._settle(machine, Event.GONE, kind="destroy")

    async def _watch(self, machine: Machine, process: Running) -> None:
        """Notice an end that nobody asked for."""
        code = await process.ended()
        if process.expected:
            return
        machine.process = None
        if machine.state in (State.STARTED, State.SUSPENDING):
            self._exited(machine, code)
        # else it was suspended: the snapshot is lost, which only the next start finds out

    def _exited(self, machine: Machine, code: int) -> None:
        policy, most = machine.config["restart"]["policy"], machine.config["restart"]["max_retries"]
        again = policy == "always" or (policy == "on-failure" and code != 0 and machine.restarts < most)
        self.interrupt(machine)
        request = self._exit(machine, code, requested=False, restarting=again)
        self.move(machine, Event.EXITED, kind="exit", request=request)
        if again:
            machine.restarts += 1
            self.begin(machine, self._start_again(machine))
        elif machine.config.get("auto_destroy"):
            self.destroy_soon(machine)

    async def _start_again(self, machine: Machine) -> None:
        await self._world.clock.sleep(self._world.latencies.restart)
        self.move(machine, Event.START, kind="restart")
        await self.boot(machine)

    def move(
        self, machine: Machine, event: Event, *, kind: str, source: str = "flyd", request: Json | None = None
    ) -> None:
        """Take a step and remember it."""
        machine.move(event, self._world.clock, kind=kind, source=source, request=request)
        self._world.changed()

    def _settle(
        self, machine: Machine, event: Event | None = None, *, kind: str = "", request: Json | None = None
    ) -> None:
        """Take the last step of an errand: the Machine rests now."""
        machine.errand = None
        if event is None:
            machine.tell()
        else:
            self.move(machine, event, kind=kind, request=request)

    def _exit(self, machine: Machine, code: int, *, requested: bool, restarting: bool = False) -> Json:
        """The exit event, in the form in which Fly's clients look for it."""
        killed_by = -code if code < 0 else -1
        return {
            "exit_event": {
                "exit_code": 128 - code if code < 0 else code,
                "guest_exit_code": max(0, code),
                "guest_signal": killed_by,
                "signal": killed_by,
                "oom_killed": False,
                "requested_stop": requested,
                "restarting": restarting,
                "exited_at": rfc3339(self._world.clock.now()),
            },
            "restart_count": machine.restarts,
        }
