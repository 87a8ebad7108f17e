"""One line of JSON an event, on standard error, where the platform collects it."""

import json
import sys
import time


def log(event: str, **facts: str | int | float | None) -> None:
    """Write `event` with its `facts`. Never a token, a header or a body."""
    line = {"at": round(time.time(), 3), "from": "guard", "event": event, **facts}
    print(json.dumps(line), file=sys.stderr, flush=True)
