from tests.parts.browser import browser, chromium

__all__ = ["browser", "chromium"]
