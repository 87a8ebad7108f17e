"""The file that lets the stand-in remember over a restart."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

_PAUSE: Final = 0.1  # seconds; a burst of changes becomes one write
_SHARE: Final = 0.05  # of our time at most, however much there is to write


class Memory:
    """Writes what `contents` returns, soon after a change and when the stand-in closes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._dirty = asyncio.Event()

    def load(self) -> Mapping[str, Any]:
        """What was written last; empty at the first start."""
        if not self._path.exists():
            return {}
        kept: Mapping[str, Any] = json.loads(self._path.read_text())
        return kept

    def changed(self) -> None:
        self._dirty.set()

    async def keep_writing(self, contents: Callable[[], Mapping[str, object]]) -> None:
        """Until cancelled."""
        loop, pause = asyncio.get_running_loop(), _PAUSE
        while True:
            await self._dirty.wait()
            await asyncio.sleep(pause)
            self._dirty.clear()
            began = loop.time()
            self.save(contents())
            pause = max(_PAUSE, (loop.time() - began) / _SHARE)

    def save(self, contents: Mapping[str, object]) -> None:
        """Whole or not at all: a reader never meets half a file."""
        beside = self._path.with_suffix(".writing")
        beside.touch(mode=0o600)  # the environments of Machines hold keys
        beside.write_text(json.dumps(contents))
        beside.replace(self._path)
