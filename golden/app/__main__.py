"""The default App as a process: `python -m golden.app`, on 127.0.0.1:$PORT, with its data in DATA_DIR."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from golden.app.brain import brain
from golden.app.conversation import Conversation
from golden.app.history import History
from golden.app.web import Chat

GOODBYE_S = 2.0


def main() -> int:
    """Serve until SIGTERM or SIGINT. 2 if there is no PORT."""
    if not os.environ.get("PORT", "").isdigit():
        print("PORT is missing: the Guard sets it", file=sys.stderr)
        return 2
    asyncio.run(serve(os.environ))
    return 0


async def serve(environment: Mapping[str, str]) -> None:
    """Serve until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    history = History(Path(environment.get("DATA_DIR") or "/data") / "chat.sqlite3")
    try:
        async with brain(environment) as somebody:
            chat = Chat(Conversation(history, somebody), environment)
            runner = web.AppRunner(chat.application(), access_log=None, shutdown_timeout=GOODBYE_S)
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", int(environment["PORT"])).start()
                await stop.wait()
            finally:
                await runner.cleanup()
    finally:
        history.close()


if __name__ == "__main__":
    sys.exit(main())
