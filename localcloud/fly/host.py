"""The host on which Machines run: their real processes come and go here."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from localcloud.fly.addresses import listen_on
from localcloud.fly.clock import Clock
from localcloud.fly.deadline import within
from localcloud.fly.disk import Disk
from localcloud.fly.process import Process, Running, Watchdog
from localcloud.fly.records import Json, Machine
from localcloud.fly.thin import Thin

_NO_PROCESS = "none"
_INHERITED = ("PYTHONPATH", "LANG", "LC_ALL", "TZ", "SYSTEMROOT", "TMPDIR")


class Host:
    """Starts and ends main processes. What an image would hold is a command here.

    `images` maps an image, as the config names it, to its command; any other image runs `command`. The image `none`,
    and every image if there is no command, makes a Machine that lives through all its states without a process; if
    they are `thin`, something answers at its address all the same.
    """

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        watchdog: Watchdog,
        *,
        command: Sequence[str] | None,
        images: Mapping[str, Sequence[str]],
        thin: bool = False,
    ) -> None:
        self._thin = thin
        self._disk, self._clock, self._watchdog = disk, clock, watchdog
        self._command, self._images = command, images

    def boot(self, machine: Machine) -> Running | None:
        """A cold start. Raises OSError if the command cannot be run."""
        command = self._command_of(machine.config["image"])
        if command is None:
            return Thin(machine.private_ip, self.environment(machine)) if self._thin else None
        data_dir = self._disk.volume(machine.volume_ids[0]) if machine.volume_ids else None
        if data_dir is None:
            data_dir = self._disk.fresh_rootfs(machine.id)
        self._disk.machine(machine.id).mkdir(exist_ok=True)
        return Process(
            command,
            env=self.environment(machine),
            marks=(f"FLY_MACHINE_ID={machine.id}", f"DATA_DIR={data_dir}"),
            log=self._disk.log(machine.id),
            watchdog=self._watchdog,
        )

    def environment(self, machine: Machine) -> dict[str, str]:
        """Exactly what a process in the Machine sees: nothing of the stand-in's own secrets."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        # an image has its own programs: `python` in it is the one that has this project installed
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {
            **inherited,
            "PATH": programs,
            "HOME": str(self._disk.machine(machine.id)),
            **machine.secrets,
            **machine.config.get("env", {}),
            "FLY_APP_NAME": machine.app,
            "FLY_MACHINE_ID": machine.id,
            "FLY_ALLOC_ID": machine.id,
            "FLY_MACHINE_VERSION": machine.version,
            "FLY_REGION": machine.region,
            "PRIMARY_REGION": machine.region,
            "FLY_PRIVATE_IP": machine.private_ip,
            "FLY_PROCESS_GROUP": machine.metadata.get("fly_process_group", "app"),
            "FLY_VM_MEMORY_MB": str(machine.config["guest"]["memory_mb"]),
            "FLY_IMAGE_REF": machine.config["image"],
            "JARVIS_LISTEN": listen_on(machine.private_ip),
            "DATA_DIR": str(self.data_dir(machine)),
        }

    def data_dir(self, machine: Machine) -> Path:
        """The folder of its volume; without one, of its root file system."""
        if machine.volume_ids:
            return self._disk.volume(machine.volume_ids[0])
        return self._disk.machine(machine.id) / "rootfs"

    async def halt(self, machine: Machine, number: signal.Signals, timeout: float) -> int:
        """Ask the main process to end, insist after `timeout` seconds. Its exit code; 0 if there was none."""
        process = machine.process
        if process is None:
            return 0
        process.expected = True
        process.signal(number)
        if not await within(self._clock, timeout, process.exited):
            process.kill()
        return await self.buried(machine, process)

    async def kill(self, machine: Machine) -> int:
        """The end at once, of a frozen Machine too. Its exit code; 0 if there was none."""
        process = machine.process
        if process is None:
            return 0
        process.expected = True
        process.kill()
        return await self.buried(machine, process)

    async def empty(self, machines: Iterable[Machine]) -> None:
        """End every process."""
        await asyncio.gather(*(self.kill(machine) for machine in machines))

    @staticmethod
    async def buried(machine: Machine, process: Running) -> int:
        code = await process.ended()
        if machine.process is process:
            machine.process = None
        return code

    async def execute(self, machine: Machine, command: Sequence[str], *, stdin: str, timeout: float) -> Json | None:
        """Run `command` inside the Machine: its outcome, or None if it took longer than `timeout` seconds."""
        try:
            running = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=self.environment(machine),
                cwd=self.data_dir(machine),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            return {"exit_code": 127, "exit_signal": 0, "stdout": "", "stderr": f"{command[0]}: {error}\n"}
        talking = asyncio.ensure_future(running.communicate(stdin.encode()))
        try:
            finished = await within(self._clock, timeout, talking)
        finally:
            if running.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(running.pid, signal.SIGKILL)
        stdout, stderr = await talking
        if not finished:
            return None
        code = running.returncode or 0
        return {
            "exit_code": 128 - code if code < 0 else code,
            "exit_signal": max(0, -code),
            "stdout": stdout.decode(errors="replace"),
            "stderr": stderr.decode(errors="replace"),
        }

    def _command_of(self, image: str) -> Sequence[str] | None:
        if image in self._images:
            return self._images[image]
        return None if image == _NO_PROCESS else self._command
