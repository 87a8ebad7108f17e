"""The real process of a Machine."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

from localcloud.fly import tree
from localcloud.fly.tree import Tree


class Running(Protocol):
    """What runs in a Machine. `exited` resolves to its exit code; `expected` says that its end was asked for."""

    expected: bool

    @property
    def pid(self) -> int | None: ...
    @property
    def exited(self) -> "asyncio.Future[int]": ...
    async def ended(self) -> int: ...
    def members(self) -> list[int]: ...
    def signal(self, number: signal.Signals) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...
    def kill(self) -> None: ...


class Watchdog:
    """A process of its own that kills the Machines' processes should the stand-in die without saying goodbye."""

    def __init__(self) -> None:
        inlet, outlet = os.pipe()
        with os.fdopen(inlet, "rb") as its_input:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", tree.__file__],
                stdin=its_input,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # or Ctrl-C would take it along, and then nobody watched
            )
        self._line = os.fdopen(outlet, "w", buffering=1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._line.close()
        self._process.wait()

    def tell(self, watched: Tree, *, watch: bool) -> None:
        message = {"leader": watched.leader, "marks": watched.marks, "watch": watch}
        self._line.write(json.dumps(message) + "\n")


class Process:
    """A running main process and all its descendants. `exited` resolves to its exit code, negative for a signal."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        marks: tuple[str, ...],
        log: Path,
        watchdog: Watchdog,
    ) -> None:
        """Start `command` with exactly `env`. Raises OSError if there is no such command."""
        with log.open("ab") as out:
            self._popen = subprocess.Popen(
                list(command),
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.tree = Tree(self._popen.pid, marks)
        self._frozen: set[int] = set()
        self._watchdog = watchdog
        watchdog.tell(self.tree, watch=True)
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.expected = False
        """Whether its end was asked for, so that nobody need ask why."""
        self._notice_exit()

    @property
    def pid(self) -> int:
        return self._popen.pid

    async def ended(self) -> int:
        """Its exit code, when it has ended. Cancelling the call leaves `exited` alone: others wait for it."""
        return await asyncio.shield(self.exited)

    def members(self) -> list[int]:
        """Its living processes, the main one first."""
        return self.tree.members()

    def signal(self, number: signal.Signals) -> None:
        """To the main process alone, as Fly's init does. Nothing happens if it is gone."""
        self._popen.send_signal(number)

    def freeze(self) -> None:
        """Every process stops where it stands, sockets and memory included."""
        self._frozen |= self.tree.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """All go on. Nobody need be looked for, which takes milliseconds: what stands still has no new children."""
        while self._frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._frozen.pop(), signal.SIGCONT)

    def kill(self) -> None:
        """The end, for frozen ones too: SIGKILL needs no SIGCONT."""
        self.tree.send(signal.SIGKILL)

    def _notice_exit(self) -> None:
        loop = asyncio.get_running_loop()
        if hasattr(os, "pidfd_open"):
            fd = os.pidfd_open(self._popen.pid)

            def readable() -> None:
                loop.remove_reader(fd)
                os.close(fd)
                self._gone(self._popen.wait())

            loop.add_reader(fd, readable)
            return

        def wait() -> None:
            code = self._popen.wait()
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._gone, code)

        threading.Thread(target=wait, name=f"exit-of-{self._popen.pid}", daemon=True).start()

    def _gone(self, code: int) -> None:
        self.tree.send(signal.SIGKILL)  # a VM does not outlive its main process
        self._watchdog.tell(self.tree, watch=False)
        self.exited.set_result(code)
