"""A browser's User-Agent in words a person recognises. Pure, and only for showing: anybody may send anything."""

import re
from typing import Final

_BROWSERS: Final = (  # in this order: each of the later ones is in the claims of an earlier one
    ("Edge", re.compile(r"\bEdgA?/|\bEdgiOS/")),
    ("Opera", re.compile(r"\bOPR/")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/")),
    ("Firefox", re.compile(r"\bFirefox/|\bFxiOS/")),
    ("Chrome", re.compile(r"\bChrome/|\bCriOS/|\bHeadlessChrome/")),
    ("Safari", re.compile(r"\bSafari/")),
)
_SYSTEMS: Final = (
    ("iPhone", re.compile(r"\biPhone\b")),
    ("iPad", re.compile(r"\biPad\b")),
    ("Android", re.compile(r"\bAndroid\b")),
    ("ChromeOS", re.compile(r"\bCrOS\b")),
    ("macOS", re.compile(r"\bMacintosh\b|\bMac OS X\b")),
    ("Windows", re.compile(r"\bWindows\b")),
    ("Linux", re.compile(r"\bLinux\b|\bX11\b")),
)
UNKNOWN: Final = "Unknown device"


def device(user_agent: str | None) -> str:
    """Such as `Firefox on Windows`; a program is called by the first word that it sent."""
    if not user_agent:
        return UNKNOWN
    browser = next((name for name, sign in _BROWSERS if sign.search(user_agent)), None)
    system = next((name for name, sign in _SYSTEMS if sign.search(user_agent)), None)
    if browser is None:
        word = re.match(r"[A-Za-z][\w.-]{0,30}", user_agent)
        return f"{word[0]} on {system}" if word and system else word[0] if word else UNKNOWN
    return f"{browser} on {system}" if system else browser
