"""Listening sockets."""

import socket

BACKLOG = 4096
"""Connections that may wait for us to accept; a burst of a page's requests must not meet a full queue."""


class CannotListen(Exception):
    """The address is taken, or not ours to use."""


def bind(listen: str) -> socket.socket:
    """A listening TCP socket for `host:port`; `[::]` takes IPv4 too, as Fly's proxy (IPv4) and 6PN (IPv6) need.

    Port 0 takes a free one. Raises CannotListen naming the address.
    """
    host, port = host_and_port(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if host == "::" and socket.has_dualstack_ipv6():
            return socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=True)
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as fault:
        raise CannotListen(f"cannot listen on {listen}: {fault.strerror}") from fault


def url_of(bound: socket.socket) -> str:
    """`http://host:port` where a client on this machine reaches it."""
    host, port = bound.getsockname()[:2]
    if host in ("::", "0.0.0.0"):  # noqa: S104  compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def host_and_port(listen: str) -> tuple[str, int]:
    """`[::]:8080` → ("::", 8080)."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
