"""For clients that speak plain HTTP to this machine."""

import ssl
from typing import Final

NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""As `verify=` of an httpx client: without it each new client reads all certificates of the world, 30 ms of a core.

It trusts nobody: whoever does speak TLS with it is refused.
"""
