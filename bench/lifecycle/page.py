"""docs/reliability.md: each command that measures writes its own part of it."""

import re
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
PART: Final = re.compile(r"(<!-- measured: (?P<name>[a-z-]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)


def shown(text: str, name: str, body: str) -> str:
    """`text` with `body` in its part `name`. Raises KeyError if it has none."""
    if not any(part["name"] == name for part in PART.finditer(text)):
        raise KeyError(name)
    return PART.sub(lambda part: part[1] + (body if part["name"] == name else part["body"]) + part[4], text)
