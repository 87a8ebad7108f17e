"""The Guard as a whole: who is let in, what the App sees, and how it lives and dies."""

import asyncio
import hashlib
import io
import json
import os
import signal
import sys
import time

import pytest

from tests.golden.conftest import ROOT
from tests.golden.stage import eventually, open_files, rss_kb
from tests.parts.assertion import EMAIL, USER, assertion, claims, token

WRONG = {
    "nothing": {},
    "rubbish": {"X-Jarvis-Assertion": "rubbish"},
    "another machine": {"X-Jarvis-Assertion": assertion(aud="148ed726c12358")},
    "expired": {"X-Jarvis-Assertion": assertion(iat=int(time.time()) - 700, exp=int(time.time()) - 400)},
    "unknown key id": {"X-Jarvis-Assertion": token(claims(), kid="k2")},
    "another key": {"X-Jarvis-Assertion": token(claims(), key=b"x" * 32)},
    "alg none": {"X-Jarvis-Assertion": token(claims(), alg="none")},
    "another user": {"X-Jarvis-Assertion": assertion(sub="11111111-7c1f-4d0a-9c37-3a8b2d6c5e01")},
    "only the names": {"X-Jarvis-User": USER, "X-Jarvis-Email": EMAIL},
    "a bearer token": {"Authorization": f"Bearer {assertion()}"},
    "the wrong spelling": {"X_Jarvis_Assertion": assertion()},
}
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def test_nobody_comes_in_without_the_gateways_word(guard, http):
    """Neither a request nor a WebSocket, however it tries."""
    for headers in WRONG.values():
        for path, more in (("/headers", {}), ("/ws", UPGRADE), ("/_guard/busy", {}), ("/_guard/x", {})):
            async with http.get(guard.base + path, headers=headers | more) as response:
                assert response.status == 401
                assert response.content_type == "application/problem+json"
                assert (await response.json(content_type=None))["status"] == 401
    wire = await guard.wire()
    both = f"X-Jarvis-Assertion: {assertion()}\r\n"
    await wire.say(f"GET /headers HTTP/1.1\r\nHost: a\r\n{both}{both}\r\n".encode())
    assert (await wire.until(b"\r\n")).startswith(b"HTTP/1.1 401 ")
    await wire.close()


async def test_the_app_learns_who_asks_and_not_how_we_know(guard, http):
    forged = {"X-Jarvis-User": "eve", "x_jarvis-email": "eve@example.com", "X-JARVIS_USER": "eve", "X-Other": "kept"}
    async with http.get(guard.base + "/headers?q=1", headers=guard.headers | forged) as response:
        seen = [(name.lower(), value) for name, value in (await response.json())["headers"]]
    ours = [(name, value) for name, value in seen if "jarvis" in name]
    assert ours == [("x-jarvis-user", USER), ("x-jarvis-email", EMAIL)]
    assert ("x-other", "kept") in seen


async def test_the_app_gets_its_environment_and_no_key_of_ours(guard, http, tmp_path):
    async with http.get(guard.base + "/env", headers=guard.headers) as response:
        env = await response.json()
    assert not [name for name in env["names"] if name.startswith("JARVIS_")]
    assert (env["DATA_DIR"], env["USER_ID"], env["USER_EMAIL"], env["INSTANCE_TYPE"]) == (
        str(tmp_path),
        USER,
        EMAIL,
        "user",
    )
    assert int(env["PORT"]) == guard.events("app_ready")[0]["port"]


async def test_health_is_open_and_honest(start_guard, http, tmp_path):
    """It says starting before the App answers, and ready from then on."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    guard = await start_guard(f"read _ < {gate}; exec $PYTHON -m tests.parts.echo_app", PYTHON=sys.executable)
    async with http.get(guard.base + "/_guard/health") as response:
        before = await response.json()
        assert (response.status, before["status"], before["app"]) == (503, "starting", "starting")
    await asyncio.to_thread(gate.write_text, "go\n")
    await guard.said("app_ready")
    async with http.get(guard.base + "/_guard/health?x") as response:
        after = await response.json()
        assert (response.status, after["status"], after["app"]) == (200, "ready", "ready")
    assert before["boot_id"] == after["boot_id"]


async def test_a_request_waits_for_the_app_to_come_up(start_guard, http, tmp_path):
    """With its body, a large one included, of which only a little is kept meanwhile."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    guard = await start_guard(f"read _ < {gate}; exec $PYTHON -m tests.parts.echo_app", PYTHON=sys.executable)
    body = os.urandom(30_000_000)

    async def post() -> bytes:
        async with http.post(guard.base + "/echo", data=io.BytesIO(body), headers=guard.headers) as response:
            return await response.read()

    posting = asyncio.create_task(post())
    await asyncio.sleep(0.3)
    assert rss_kb(guard.pid) < 45_000
    assert not posting.done()
    await asyncio.to_thread(gate.write_text, "go\n")
    assert await posting == body


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_twenty_megabytes_go_up_and_come_down_unchanged_in_little_memory(guard, http, framing):
    body = os.urandom(20_000_000)

    async def pieces():
        for at in range(0, len(body), 1 << 16):
            yield body[at : at + (1 << 16)]

    data = io.BytesIO(body) if framing == "length" else pieces()
    async with http.post(guard.base + "/echo", data=data, headers=guard.headers) as response:
        assert response.status == 200
        assert ("Content-Length" in response.headers) == (framing == "length")
        assert hashlib.sha256(await response.read()).digest() == hashlib.sha256(body).digest()
    assert rss_kb(guard.pid, "VmHWM") < 45_000


async def test_a_reader_that_stalls_holds_the_app_back_and_not_our_memory(guard):
    """A download nobody reads costs the Machine no more than what the kernel buffers."""
    before = rss_kb(guard.pid)
    wires = []
    for _ in range(4):
        wire = await guard.wire()
        wire.writer.transport.pause_reading()
        await wire.say(
            b"GET /size?bytes=1000000000 HTTP/1.1\r\nHost: a\r\nX-Jarvis-Assertion: %b\r\n\r\n" % assertion().encode()
        )
        wires.append(wire)
    await asyncio.sleep(0.5)
    assert rss_kb(guard.pid) - before < 8_000
    for wire in wires:
        wire.writer.transport.abort()


async def test_events_are_heard_as_they_are_said(guard, http):
    """The first event is here long before the last one is even due."""
    url = guard.base + "/sse?n=2&interval_ms=600000"
    async with http.get(url, headers=guard.headers) as response:
        assert response.content_type == "text/event-stream"
        assert await response.content.readuntil(b"\n\n") == b"id: 0\ndata: event 0\n\n"


async def test_a_client_that_leaves_cancels_the_work(guard, http):
    request = asyncio.create_task(http.get(guard.base + "/sleep?ms=600000", headers=guard.headers).__aenter__())

    async def busy():
        async with http.get(guard.base + "/_guard/busy", headers=guard.headers) as response:
            return await response.json()

    while not (verdict := await busy())["open_streams"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert verdict == {"busy": True, "reason": "open request", "open_streams": 1, "leases": []}
    request.cancel()
    await guard.heard("sleep cancelled")
    assert await busy() == {"busy": False, "reason": None, "open_streams": 0, "leases": []}


async def test_prefixes_go_to_their_own_ports(start_guard, http):
    """`/terminal` and what is below it; not `/terminals`."""

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        body = b"elsewhere " + head.split()[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        guard = await start_guard(JARVIS_ROUTES=f"/headers/deep={port}, /terminal={port}")
        for path in ("/terminal", "/terminal/", "/terminal/a?b", "/terminal?x=/headers", "/headers/deep/er"):
            async with http.get(guard.base + path, headers=guard.headers) as response:
                assert await response.text() == f"elsewhere {path}"
        async with http.get(guard.base + "/headers", headers=guard.headers) as response:
            assert response.status == 200
        async with http.get(guard.base + "/terminals", headers=guard.headers) as response:
            assert response.status == 404


async def test_an_app_that_dies_is_started_again(guard, http):
    """Whoever asks meanwhile waits a second and is served."""
    async with http.get(guard.base + "/env", headers=guard.headers) as response:
        first = (await response.json())["pid"]
    async with http.post(guard.base + "/die", headers=guard.headers) as response:
        assert response.status == 502
    assert (await guard.said("app_exited"))["exit_code"] == 3
    async with http.get(guard.base + "/env", headers=guard.headers) as response:
        assert (await response.json())["pid"] != first
    async with http.get(guard.base + "/_guard/health") as response:
        assert response.status == 200


async def test_an_app_that_cannot_start_is_said_to_have_failed(start_guard, http):
    """Nobody waits half a minute for a command that does not exist."""
    guard = await start_guard("exit 7")
    async with http.get(guard.base + "/", headers=guard.headers) as response:
        assert response.status == 502
        assert "exit code 7" in (await response.json(content_type=None))["detail"]
        assert int(response.headers["Retry-After"]) >= 1
    async with http.get(guard.base + "/_guard/health") as response:
        assert response.status == 503
        assert (await response.json())["status"] == "failed"
    assert [e["restart_in_s"] for e in guard.events("app_exited")] == [1.0, 2.0]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_told_to_stop_it_stops_the_app_and_everything_it_started(start_guard, how):
    guard = await start_guard("sleep 1000 & sleep 1001 & exec $PYTHON -m tests.parts.echo_app", PYTHON=sys.executable)
    group = (await guard.said("app_ready")) and guard.events("app_started")[0]["pid"]
    assert await guard.stop(how) == 0
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)


async def test_the_app_does_not_outlive_a_guard_that_was_killed(guard):
    """Else a Machine that was cut off would go on writing to its volume."""
    group = guard.events("app_started")[0]["pid"]
    assert group_exists(group)
    assert await guard.stop(signal.SIGKILL) == -signal.SIGKILL
    await eventually(lambda: not group_exists(group))


async def test_a_request_under_way_is_finished_before_it_stops(guard, http):
    async with http.get(guard.base + "/sse?n=3&interval_ms=100", headers=guard.headers) as response:
        await response.content.readuntil(b"\n\n")
        stopping = asyncio.create_task(guard.stop())
        assert (await response.read()).endswith(b"data: event 2\n\n")
    assert await stopping == 0


async def test_five_hundred_abrupt_ends_leave_no_socket_behind(guard):
    asks = [
        b"GET /sleep?ms=600000 HTTP/1.1\r\nHost: a\r\nX-Jarvis-Assertion: %b\r\n\r\n",
        b"GET /sse?n=9&interval_ms=600000 HTTP/1.1\r\nHost: a\r\nX-Jarvis-Assertion: %b\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\nX-Jarvis-Assertion: %b\r\n\r\nhalf",
        b"GET /ws HTTP/1.1\r\nHost: a\r\nX-Jarvis-Assertion: %b\r\n"
        + b"".join(f"{name}: {value}\r\n".encode() for name, value in UPGRADE.items())
        + b"\r\n",
        b"GET /headers HTTP/1.1\r\nHost: a\r\nX-Jarvis-Asser%.0b",
    ]

    async def end_abruptly(number: int) -> None:
        wire = await guard.wire()
        await wire.say(asks[number % len(asks)] % assertion().encode())
        if number % 3:
            await asyncio.sleep(0)
        if number % 2:
            wire.writer.transport.abort()
        else:
            await wire.close()

    await asyncio.gather(*(end_abruptly(number) for number in range(20)))
    await eventually(lambda: open_files(guard.pid) < 30)
    before = open_files(guard.pid)
    for _ in range(10):
        await asyncio.gather(*(end_abruptly(number) for number in range(50)))
    await eventually(lambda: open_files(guard.pid) <= before)
    assert rss_kb(guard.pid) < 45_000


async def test_settings_that_make_no_sense_are_all_told_at_once(tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "golden.guard",
        cwd=ROOT, env={"JARVIS_GUARD_KEYS": "k1:c2VjcmV0", "JARVIS_LISTEN": "nowhere"}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, errors = await process.communicate()
    assert process.returncode == 2
    told = " ".join(json.loads(line)["problem"] for line in errors.decode().splitlines())
    for name in ("FLY_MACHINE_ID", "JARVIS_GUARD_KEYS", "JARVIS_LISTEN"):
        assert name in told
    assert "c2VjcmV0" not in told


async def test_it_is_reached_over_both_protocols(start_guard, http):
    guard = await start_guard(JARVIS_LISTEN="[::]:0")
    for host in ("127.0.0.1", "[::1]"):
        async with http.get(f"http://{host}:{guard.port}/_guard/health") as response:
            assert response.status in (200, 503)


def group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
