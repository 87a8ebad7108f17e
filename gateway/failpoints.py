"""Dying on demand at a named point, for `make chaos`: the file that FAILPOINTS names says where."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from provisioner.failpoints import points, watched
from provisioner.images import RolloutStore
from provisioner.ports import Cloud, Store
from provisioner.spares import Spares

Port = TypeVar("Port")
PORTS: Final[dict[str, type]] = {"cloud": Cloud, "store": Store, "spares": Spares, "rollouts": RolloutStore}
"""Every port whose acts are points, by the name that their points begin with."""


class Failpoints:
    """Reads `file` at each point; if a line of it is that point, the process is killed there and then.

    Points that were reached are added to `<file>.reached`, a line each, and the last one of a dead process to
    `<file>.died`. The file is removed before dying, so that the replica that is started next lives.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def reach(self, point: str) -> None:
        self._note("reached", point)
        with suppress(FileNotFoundError):
            if point in self._file.read_text().splitlines():
                self._file.unlink()
                self._note("died", point)
                os.kill(os.getpid(), signal.SIGKILL)

    def _note(self, what: str, point: str) -> None:
        with self._file.with_name(f"{self._file.name}.{what}").open("a") as notes:
            notes.write(point + "\n")


def every_point() -> list[str]:
    """All names that may stand in the file."""
    return list(points(PORTS))


def watcher(file: str) -> Callable[[str, Port], Port]:
    """Takes the name of a port and the port, and gives what the use cases shall work with: the port itself if `file`
    is empty, as it always is in production."""
    if not file:
        return lambda name, port: port
    failpoints = Failpoints(Path(file))
    return lambda name, port: watched(port, PORTS[name], name, failpoints.reach)
