"""A file of SQL, cut into its statements."""

import re
from typing import Final

# What may hide a semicolon, and the semicolon itself. Dollar quotes end at their own tag; block comments are taken
# not to nest, which Postgres would allow and nobody here writes.
_PIECE: Final = re.compile(
    r"""--[^\n]*
      | /\*.*?\*/
      | (?<![a-z0-9_$])e'(?:[^'\\]|\\.|'')*'     # E'…' knows backslashes
      | '(?:[^']|'')*'
      | "(?:[^"]|"")*"
      | (?<![a-z0-9_$])(?P<tag>\$(?:[a-z_][a-z0-9_]*)?\$).*?(?P=tag)
      | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


def statements(sql: str) -> list[str]:
    """Each statement without its semicolon, with the comments before it; pieces of mere comment are left out."""
    cuts, start = [], 0
    for piece in _PIECE.finditer(sql):
        if piece["end"]:
            cuts.append(sql[start : piece.start()])
            start = piece.end()
    cuts.append(sql[start:])
    return [cut.strip() for cut in cuts if _COMMENT.sub("", cut).strip()]
