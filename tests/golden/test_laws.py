"""The laws of this room: what may import what, and what the Guard can do without."""

import ast
import asyncio
import io
import os
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.golden.conftest import ROOT

GUARD = ROOT / "golden" / "guard"


def imports(folder: Path) -> set[str]:
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                found.add(node.module or "")
            elif isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
    return found


def test_the_guard_knows_no_app():
    assert not {name for name in imports(GUARD) if name.startswith("golden.app")}


async def test_it_runs_on_the_standard_library_alone(start_guard, http, tmp_path):
    """uvloop is a gain, not a need; everything that matters works on asyncio's own loop."""
    (tmp_path / "uvloop.py").write_text("raise ImportError('not here')")
    guard = await start_guard(PYTHONPATH=f"{tmp_path}:{ROOT}")
    body = os.urandom(5_000_000)
    async with http.post(guard.base + "/echo", data=io.BytesIO(body), headers=guard.headers) as response:
        assert await response.read() == body
    gone = asyncio.create_task(http.get(guard.base + "/sleep?ms=600000", headers=guard.headers).__aenter__())
    await asyncio.sleep(0.1)
    gone.cancel()
    await guard.heard("sleep cancelled")
    url = f"ws://127.0.0.1:{guard.port}/ws"
    async with connect(url, additional_headers=guard.headers, proxy=None) as socket:
        await socket.send(body[: 1 << 19])
        assert await socket.recv() == body[: 1 << 19]
        stopping = asyncio.create_task(guard.stop())
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1001
    assert await stopping == 0
