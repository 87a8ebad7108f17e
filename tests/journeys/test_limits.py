"""What one user may take of a replica."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from tests.journeys.conftest import APP, Visit
from tests.journeys.visitor import FETCH
from tests.parts.system import dev_system


async def test_somebody_with_very_many_streams_is_told_and_nobody_else_suffers(tmp_path: Path, visit: Visit) -> None:
    """A page gone wild opens socket after socket: it gets 429, and its neighbours notice nothing."""
    with dev_system(tmp_path / "data", app_command=APP, environment={"OPEN_PER_USER": "8"}) as system:
        ada, grace = await asyncio.gather(visit("ada", at=system), visit("grace", at=system))
        async with AsyncExitStack() as open_sockets:
            for _ in range(8):
                socket = await open_sockets.enter_async_context(ada.websocket())
                await socket.send("hello")
                assert await socket.recv() == "hello"
            refused = await ada.http.get("/env", headers=FETCH)
            assert (refused.status_code, refused.headers["Content-Type"]) == (429, "application/problem+json")
            assert refused.headers["Retry-After"]
            assert (await grace.env())["USER_EMAIL"] == grace.email
