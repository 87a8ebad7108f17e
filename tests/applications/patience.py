"""How long these tests wait for what a page should show: a busy machine is slow, and that is no failure."""

from typing import Final

from playwright.async_api import Expect

PATIENCE_MS: Final = 40_000

expect: Final = Expect()
"""`playwright.async_api.expect`, more patient, for these tests alone."""
expect.set_options(timeout=PATIENCE_MS)
