"""Who is measured: a port that leads to the upstream, the processes behind it, and the head that gets through."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.head import Lines, as_text
from bench.processes import Failed


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A running proxy."""

    name: str
    port: int
    pid: int | None
    """Root of the process tree whose CPU and memory count; None for the upstream itself, without a proxy."""
    visitors: tuple["Visitor", ...]
    """People with a way to an upstream. Peers know one, who may open as much as anybody likes."""
    other_ports: Mapping[str, int] = field(default_factory=dict)
    """Where a workload, by name, finds this system set up as that workload wants it."""
    only: frozenset[str] = frozenset()
    """Workloads it takes part in, by name; empty: all."""
    version: str = ""

    def port_for(self, workload: str) -> int:
        return self.other_ports.get(workload, self.port)

    def takes(self, workload: str) -> bool:
        return not self.only or workload in self.only


@dataclass(frozen=True, slots=True)
class Visitor:
    """Header lines of somebody signed in, also as a file for the load generator."""

    lines: Lines
    file: Path

    @classmethod
    def of(cls, lines: Lines, file: Path) -> "Visitor":
        file.write_bytes(as_text(lines).encode())
        return cls(lines, file)


def free_ports(count: int) -> list[int]:
    """Loopback ports on which nobody listens now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def listening(port: int) -> bool:
    """Does anybody take connections there?"""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def answers(port: int, lines: Lines, *, timeout_s: float = 40.0) -> bool:
    """Does a GET of / through this port bring the upstream's 1 KiB? Raises Failed with what it brings instead."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        request = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{as_text(lines)}\r\n"
        connection.sendall(request.encode())
        answer = b""
        while data := connection.recv(65536):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200" not in head.partition(b"\r\n")[0] or b"x" * 1024 not in body:
        raise Failed(f"port {port} answers {answer[:300]!r}")
    return True
