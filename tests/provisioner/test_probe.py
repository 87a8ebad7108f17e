"""Asking a Guard, behind whose address anything at all may answer."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from provisioner.instance import Endpoint, MachineId
from provisioner.probe import ANSWER_MOST, UNREADABLE, GuardProbe, Health

MACHINE = MachineId("148e272f0d3389")
WITHIN = 5.0


@asynccontextmanager
async def answering(raw: bytes, *, endless: bool = False) -> AsyncIterator[Endpoint]:
    """Somebody who says `raw` to whoever comes, and goes on with its last byte if `endless`."""

    async def said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            while endless:
                writer.write(raw[-1:] * 65536)
                await writer.drain()
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(said, "127.0.0.1", 0)
    async with server:
        yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])


def http(line: str, body: bytes, *fields: bytes) -> bytes:
    lines = [f"HTTP/1.1 {line}".encode(), *fields, b"Connection: close", b"", body]
    return b"\r\n".join(lines)


def says(line: str = "200 OK", /, **told: Any) -> bytes:
    return http(line, json.dumps(told).encode())


@pytest.mark.parametrize(
    ("raw", "health"),
    [
        (says(machine_id=MACHINE, status="ready"), Health.READY),
        (says("503 No", machine_id=MACHINE, status="starting"), Health.STARTING),
        (says("503 No", machine_id=MACHINE, status="unclaimed"), Health.UNCLAIMED),
        (says(machine_id="another", status="ready"), Health.SILENT),
        (says(machine_id=MACHINE, status="splendid"), Health.SILENT),
        (says(machine_id=MACHINE), Health.SILENT),
        (http("200 OK", b"[]"), Health.SILENT),
        (http("200 OK", b"null"), Health.SILENT),
        (http("200 OK", b"<html>"), Health.SILENT),
        (http("200 OK", b"[" * 20_000), Health.SILENT),
        (http("200 OK", b'{"mach', b"Content-Length: 70"), Health.SILENT),
        (http("200 OK", b"1f\r\nbroken", b"Transfer-Encoding: chunked"), Health.SILENT),
        (http("200 OK", b"no gzip at all", b"Content-Encoding: gzip"), Health.SILENT),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", Health.SILENT),
        (b"", Health.SILENT),
    ],
)
async def test_health_is_what_a_guard_of_ours_says(raw: bytes, health: Health) -> None:
    async with answering(raw) as endpoint, GuardProbe.open() as probe:
        assert await probe.health(endpoint, MACHINE, timeout=WITHIN) is health


async def test_nobody_there_is_silent() -> None:
    async with answering(b"") as endpoint:
        pass
    async with GuardProbe.open() as probe:
        assert await probe.health(endpoint, MACHINE, timeout=WITHIN) is Health.SILENT


async def test_an_answer_without_end_is_given_up_before_its_time_is_over() -> None:
    endless = http("200 OK", b" ", b"Content-Type: application/json")
    async with answering(endless, endless=True) as endpoint, GuardProbe.open() as probe:
        async with asyncio.timeout(WITHIN):
            assert await probe.health(endpoint, MACHINE, timeout=600) is Health.SILENT
    long = says(machine_id=MACHINE, status="ready", more="x" * ANSWER_MOST)
    async with answering(long) as endpoint, GuardProbe.open() as probe:
        assert await probe.health(endpoint, MACHINE, timeout=WITHIN) is Health.SILENT


async def test_one_who_says_nothing_is_silent_when_the_time_is_over() -> None:
    """The system takes the call, and nobody ever answers it."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = Endpoint("127.0.0.1", mute.getsockname()[1])
        async with GuardProbe.open() as probe:
            assert await probe.health(endpoint, MACHINE, timeout=0.2) is Health.SILENT


async def test_a_redirect_leads_nowhere_and_a_cookie_is_not_kept() -> None:
    """A Machine must not make the gateway ask something else, nor mark it."""
    asked: list[tuple[str, str | None]] = []

    async def lure(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers.get("Cookie")))
        return web.Response(status=307, headers={"Location": "/elsewhere", "Set-Cookie": "mark=1; Path=/"})

    runner = web.ServerRunner(web.Server(lure))  # type: ignore[arg-type]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    endpoint = Endpoint(*runner.addresses[0][:2])
    async with GuardProbe.open() as probe:
        assert await probe.health(endpoint, MACHINE, timeout=WITHIN) is Health.SILENT
        assert await probe.claim(endpoint, "token", timeout=WITHIN) is False
        assert await probe.busy(endpoint, "assertion", timeout=WITHIN) == UNREADABLE
        assert await probe.exchanges(endpoint, "assertion", timeout=WITHIN) is None
    await runner.cleanup()
    assert asked == [(f"/_guard/{what}", None) for what in ("health", "claim", "busy", "busy")]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (says(busy=False, reason=""), None),
        (says(busy=True, reason="nightly\n\x1b[31mbuild"), "nightly  [31mbuild"),
        (says(busy=True, reason=""), "work of its own"),
        (says(busy=True), UNREADABLE),
        (says("401 No", busy=False), UNREADABLE),
        (http("200 OK", b"[]"), UNREADABLE),
    ],
)
async def test_in_doubt_it_is_busy(raw: bytes, reason: str | None) -> None:
    async with answering(raw) as endpoint, GuardProbe.open() as probe:
        assert await probe.busy(endpoint, "assertion", timeout=WITHIN) == reason


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (says(open_streams=3), 3),
        (says(open_streams="many"), None),
        (says(open_streams=None), None),
        (http("200 OK", b'{"open_streams": Infinity}'), None),
        (says("503 No", open_streams=3), None),
    ],
)
async def test_open_exchanges_are_a_number_or_not_known(raw: bytes, number: int | None) -> None:
    async with answering(raw) as endpoint, GuardProbe.open() as probe:
        assert await probe.exchanges(endpoint, "assertion", timeout=WITHIN) == number
