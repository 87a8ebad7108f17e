"""The log as an operator's tools read it: one JSON object a line, whoever spoke."""

import json
import subprocess
import sys
from typing import Any

SPEAK = """
import logging, structlog
from gateway.observe import configure_logging
configure_logging(format="{format}", level="info")
structlog.get_logger("ours").info("swept", instances=3)
logging.getLogger("aiohttp.server").info("not worth a line")
try:
    raise ValueError("two\\nlines")
except ValueError:
    logging.getLogger("aiohttp.server").exception("Error handling %s", "request")
    structlog.get_logger("ours").exception("sweep_failed")
"""


def lines(format: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SPEAK.format(format=format)], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_every_line_is_one_json_object_with_a_constant_event_also_where_a_library_speaks() -> None:
    ours, library, failed = said = [json.loads(line) for line in lines("json")]
    assert {name: ours[name] for name in ("event", "instances", "level")} == {
        "event": "swept",
        "instances": 3,
        "level": "info",
    }
    expected: dict[str, Any] = {"event": "library_said", "logger": "aiohttp.server", "level": "error"}
    assert expected.items() <= library.items()
    assert library["said"] == "Error handling request"
    assert "two\nlines" in library["exception"]
    assert failed["event"] == "sweep_failed"
    assert all(each["timestamp"].endswith("Z") for each in said)


def test_on_a_console_a_library_is_read_the_same_way() -> None:
    (line,) = [line for line in lines("console") if "library_said" in line]
    assert "[aiohttp.server]" in line
    assert "said='Error handling request'" in line
