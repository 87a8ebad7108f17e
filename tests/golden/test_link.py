"""Requests that wait for an App, and what they are told if it does not come."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.proxy.engine import Engine
from gateway.proxy.errors import UpstreamError
from gateway.proxy.fields import ASKED_INSIDE
from gateway.proxy.plain import Plain, WholeLane
from golden.guard import link as link_module
from golden.guard.__main__ import LIMITS
from golden.guard.activity import Busy
from golden.guard.admission import Admission
from golden.guard.answer import problem
from golden.guard.app_process import AppProcess
from golden.guard.door import Door
from golden.guard.link import Link
from provisioner.clock import SystemClock
from tests.golden.stage import OK, Wire, eventually
from tests.parts.assertion import KEYS, MACHINE, assertion
from tests.parts.upstreams import saying, scripted


class Machine:
    """A Guard whose App is never started: only its port is known."""

    def __init__(self) -> None:
        self.app = AppProcess("never run", {})
        self.engine = Engine(LIMITS, SystemClock())
        self.door = Door(
            Admission(KEYS, MACHINE),
            self.app,
            {"": Link(self.app, self.engine.pool)},
            boot_id="b",
            busy=lambda: Busy(False, None, 0),
        )
        lane = WholeLane(self.engine, self.door.judge, self.door.connect, self.door.explain)
        self.front = Plain(LIMITS, lane, verdicts=ASKED_INSIDE, refusal=problem)
        self.port = 0

    async def wire(self, *, length: int = 0) -> Wire:
        """A client that has asked, announcing a body of `length` bytes."""
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        method, more = ("POST", f"Content-Length: {length}\r\n") if length else ("GET", "")
        await wire.say(f"{method} / HTTP/1.1\r\nHost: a\r\n{more}X-Jarvis-Assertion: {assertion()}\r\n\r\n".encode())
        return wire

    @property
    def waiting(self) -> int:
        return len(self.engine.live.all())


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    made = Machine()
    server = await asyncio.get_running_loop().create_server(made.front, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    server.close()
    await made.front.shutdown(0)
    await made.engine.close()


async def test_an_app_that_never_listens_is_waited_for_only_so_long(machine, monkeypatch):
    monkeypatch.setattr(link_module, "HOLD_S", 0.2)
    wire = await machine.wire()
    head = await wire.until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5\r\n" in head
    told = json.loads(await wire.until(b"}"))
    assert "accepted no connection" in told["detail"]
    await wire.close()


async def test_who_leaves_while_waiting_leaves_nothing_behind(machine):
    wire = await machine.wire(length=10)
    await eventually(lambda: machine.waiting == 1)
    await wire.close()
    await eventually(lambda: not (machine.waiting or machine.front.connections or machine.engine.tasks._running))


async def test_an_app_that_comes_back_on_another_port_is_found(machine):
    """A request that began to wait at the old port goes to the new one."""
    wire = await machine.wire()
    await eventually(lambda: machine.waiting == 1)
    async with scripted(saying(OK)) as app:
        machine.app.port = app.endpoint.port
        assert await wire.exactly(len(OK)) == OK
        assert machine.app.state == "ready"
    await wire.close()


async def test_a_body_waits_with_its_client(machine):
    """Only the beginning of an upload is kept here until the App takes it; none of it is lost."""
    size = 20_000_000

    async def script(line):
        await line.head()
        await line.exactly(size)
        await line.say(OK)

    wire = await machine.wire(length=size)
    saying_it = asyncio.ensure_future(wire.say(b"x" * size))
    await eventually(lambda: machine.waiting == 1)
    (exchange,) = machine.engine.live.all()
    await eventually(lambda: exchange._waiting_size > 65_536)
    assert not saying_it.done()
    assert exchange._waiting_size < 1_000_000
    async with scripted(script) as app:
        machine.app.port = app.endpoint.port
        assert await wire.exactly(len(OK)) == OK
        await saying_it
    await wire.close()


def every(kind: type) -> Iterator[type]:
    for one in kind.__subclasses__():
        yield one
        yield from every(one)


@pytest.mark.parametrize("kind", [one for one in every(UpstreamError) if one.__module__ == UpstreamError.__module__])
def test_every_failure_has_an_answer(machine, kind):
    assert machine.door.explain(kind("why")).status >= 400


def test_a_port_of_its_own_stays(machine):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert Link(machine.app, machine.engine.pool, port).endpoint.port == port
