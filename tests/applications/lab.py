"""JupyterLab as a person uses it: by its buttons, cells and panels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from playwright.async_api import Download, Locator, Page

from tests.applications.patience import expect

TERMINAL: Final = '.jp-LauncherCard[title="Start a new terminal session"]'


@dataclass(frozen=True, slots=True)
class Lab:
    """One open JupyterLab."""

    page: Page

    @classmethod
    async def open(cls, page: Page, public: str, email: str) -> Self:
        """Sign in, wait for the Machine on the loading page, and for Lab to have laid out its launcher."""
        await page.goto(f"{public}/auth/login?login_hint={email}")
        new = page.get_by_role("button", name="New Launcher", exact=True)
        await expect(new).to_be_visible()
        await expect(page.locator("#jupyterlab-splash")).to_have_count(0)
        if not await page.locator(TERMINAL).is_visible():  # Lab has been seen to forget its launcher on a busy machine
            await new.click()
        await expect(page.locator(TERMINAL).first).to_be_visible()
        return cls(page)

    async def notebook(self) -> None:
        """A new notebook whose kernel is idle."""
        await self.page.locator('.jp-LauncherCard[data-category="Notebook"]').click()
        kernel = self.page.get_by_role("button", name="Python 3 (ipykernel) | Idle")
        await expect(kernel).to_be_visible()

    async def run(self, code: str) -> Locator:
        """Write `code` into the last cell and run it; where its output appears, whether it has ended or not."""
        cells = self.page.locator(".jp-Notebook .jp-CodeCell")
        number = await cells.count() - 1
        await cells.nth(number).locator(".cm-content").fill(code)
        await self.page.keyboard.press("Shift+Enter")
        await expect(cells).to_have_count(number + 2)  # the next cell is there: this one was sent
        return cells.nth(number).locator(".jp-OutputArea")

    async def reconnect(self) -> None:
        """Have the notebook take up the connection to its kernel again.

        Lab does so by itself when a connection breaks, and not when it was closed with 1000 or 1001.
        """
        await self.page.get_by_role("menuitem", name="Kernel", exact=True).click()
        await self.page.get_by_role("menuitem", name="Reconnect to Kernel").click()

    async def answer(self, words: str) -> None:
        """Type `words` where the running cell asks for input."""
        await self.page.locator("input.jp-Stdin-input").fill(words)
        await self.page.keyboard.press("Enter")

    async def terminal(self) -> Locator:
        """A new terminal, with the keyboard in it; where its text can be read."""
        await self.page.get_by_role("button", name="New Launcher", exact=True).click()
        await self.page.locator(TERMINAL).click()
        await self.page.locator(".jp-Terminal .xterm-helper-textarea").focus()
        return self.page.locator(".jp-Terminal .xterm-accessibility-tree")

    async def upload(self, path: Path) -> None:
        """Choose a file that Lab asks about for its size. Begins; the file browser shows it when it has arrived."""
        async with self.page.expect_file_chooser() as chooser:
            await self.page.get_by_role("button", name="Upload Files").click()
        await (await chooser.value).set_files(path)
        await self.page.locator(".jp-Dialog").get_by_role("button", name="Upload").click()

    async def download(self, name: str) -> Download:
        """The file `name` of the file browser, on its way to the person's disk."""
        file = self.page.locator(".jp-DirListing-item", has_text=name)
        await file.click(button="right")
        async with self.page.expect_download() as download:
            await self.page.get_by_role("menuitem", name="Download", exact=True).click()
        return await download.value
