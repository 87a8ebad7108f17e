"""Where Machines answer: an own loopback address each, as they have an own private address at Fly."""

import ipaddress
import socket
import sys
from itertools import count
from typing import Final

GUARD_PORT: Final = 8080
_POOL: Final = ipaddress.ip_network("127.64.0.0/10")
_BLOCK: Final = _POOL.num_addresses // 65536


class Addresses:
    """Hands out addresses, none twice in a run.

    `lane` is the stand-in's own listening port: as no two can hold it at once, several stand-ins on one host start
    in different parts of the pool. An address whose port 8080 is in use all the same is passed over.
    """

    def __init__(self, lane: int, *, system: str = sys.platform) -> None:
        self._own_addresses = system == "linux"
        self._numbers = count(lane * _BLOCK + 1)
        self._ports: set[int] = set()

    def take(self) -> str:
        """`127.x.y.z` on Linux; elsewhere only 127.0.0.1 exists, so `127.0.0.1:<free port>`."""
        if not self._own_addresses:
            return self._free_port()
        while True:
            number = next(self._numbers) % _POOL.num_addresses
            address = str(_POOL[number])
            if number and _is_free(address):
                return address

    def _free_port(self) -> str:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in self._ports:
                self._ports.add(port)
                return f"127.0.0.1:{port}"


def listen_on(private_ip: str) -> str:
    """`host:port` where the Machine must listen, from what `take` gave."""
    return private_ip if ":" in private_ip else f"{private_ip}:{GUARD_PORT}"


def _is_free(address: str) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, GUARD_PORT))
        except OSError:
            return False
        return True
