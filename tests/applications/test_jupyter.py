"""JupyterLab behind the gateway: kernels and terminals on WebSockets, large files both ways, a Machine that slept."""

from pathlib import Path

from playwright.async_api import Page

from tests.applications.conftest import LARGE_B, digest, put_to_sleep
from tests.applications.lab import Lab
from tests.applications.patience import expect
from tests.journeys.visitor import operator_of
from tests.parts.system import System, until

MOVED_WITHIN_S = 60.0


async def test_a_cell_speaks_while_it_runs_and_a_terminal_answers(page: Page, lab: System, email: str) -> None:
    """Output is there before the cell ends, what it asks for gets back to it, and a shell is a shell."""
    opened = await Lab.open(page, lab.public, email)
    await opened.notebook()

    output = await opened.run('print("I am running", flush=True); print("hello", input("Who are you? "))')
    await expect(output).to_contain_text("I am running")
    await expect(output).not_to_contain_text("hello")
    await opened.answer("Ada")
    await expect(output).to_contain_text("hello Ada")

    screen = await opened.terminal()
    await page.keyboard.type("echo $((6 * 7)) for $USER_EMAIL\n")
    await expect(screen).to_contain_text(f"42 for {email}")


async def test_200_mb_go_up_to_the_volume_and_come_back_the_same(
    page: Page, lab: System, email: str, large_file: Path
) -> None:
    """A data set is put there with the file browser, in the pieces Lab makes of it, and fetched back in one."""
    opened = await Lab.open(page, lab.public, email)
    uploaded = digest(large_file)

    await opened.upload(large_file)

    async def arrived() -> list[Path]:
        return [
            path for path in lab.data_dir.glob(f"fly/volumes/*/{large_file.name}") if path.stat().st_size == LARGE_B
        ]

    (on_volume,) = await until(arrived, within=MOVED_WITHIN_S)
    assert digest(on_volume) == uploaded

    download = await opened.download(large_file.name)
    assert digest(await download.path()) == uploaded


async def test_a_kernel_remembers_across_the_sleep_of_its_machine(page: Page, lab: System, email: str) -> None:
    """The tab stays open over lunch. The next cell runs in the same kernel, with what it had in memory."""
    opened = await Lab.open(page, lab.public, email)
    await opened.notebook()
    await expect(await opened.run("import os; kept = os.getpid(); print('started')")).to_contain_text("started")
    async with operator_of(lab) as operator:
        await put_to_sleep(operator, email)
        await opened.reconnect()
        output = await opened.run("print('first', kept == os.getpid())")
        await expect(output).to_contain_text("first True")
        woken = len(await operator.calls("start_machine", email))
        assert woken

        await operator.behind_our_back(email, "suspend")
        output = await opened.run("print('second', kept == os.getpid())")
        await expect(output).to_contain_text("second True")
        assert len(await operator.calls("start_machine", email)) == woken + 1
