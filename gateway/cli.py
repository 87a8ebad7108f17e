"""The command `my-jarvis`."""

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import click

from gateway.admin_cli import admin
from gateway.listen import CannotListen
from gateway.observe import configure_logging
from gateway.settings import BadSettings, Settings, read_settings

if sys.platform == "win32":
    from asyncio import new_event_loop
else:
    from uvloop import new_event_loop


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="my-jarvis")
def main() -> None:
    """A cloud machine for everyone who signs in, behind one URL."""


main.add_command(admin)


@main.command()
@click.option("--public-port", default=8080, show_default=True, help="What browsers use. 0 picks a free port.")
@click.option("--admin-port", default=9090, show_default=True, help="Admin API and metrics. 0 picks a free port.")
@click.option("--broker-port", default=8081, show_default=True, help="LLM broker. 0 picks a free port.")
@click.option(
    "--data-dir",
    default=".local",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Database, accounts and volumes; kept over restarts, deleted only by you.",
)
@click.option("--app-command", help="The App that every Machine runs instead of the default chat; listens on $PORT.")
def dev(public_port: int, admin_port: int, broker_port: int, data_dir: Path, app_command: str | None) -> None:
    """Run everything on this machine, with an embedded cloud: nothing else to set up.

    Settings such as SUSPEND_AFTER_S=20 may be given in the environment. Ends with Ctrl-C, leaving no process behind.
    """
    try:
        from gateway.dev import local_system  # here, because production has no local cloud installed
    except ModuleNotFoundError as missing:
        raise click.ClickException(f"the local cloud is not installed here ({missing.name}); see README.md") from None

    configure_logging(format="console", level=os.environ.get("LOG_LEVEL", "info"))
    system = local_system(
        data_dir=data_dir,
        public_port=public_port,
        admin_port=admin_port,
        broker_port=broker_port,
        app_command=app_command,
    )
    _run(_until_told(system))


@main.command()
def serve() -> None:
    """Run the gateway in production. Everything comes from the environment: see docs/settings.md."""
    from gateway.app import serving

    settings = _settings()
    configure_logging(format=settings.log_format, level=settings.log_level)
    _run(_until_told(serving(settings)))


@main.command()
@click.option(
    "--database-url",
    envvar=["MIGRATION_DATABASE_URL", "DATABASE_URL"],
    required=True,
    help="As the owner of the schemas. [MIGRATION_DATABASE_URL, else DATABASE_URL]",
)
def migrate(database_url: str) -> None:
    """Apply what is missing of sql/migrations, under a lock. Safe to run from several places at once."""
    from provisioner.store.migrate import MigrationFailed
    from provisioner.store.migrate import migrate as apply

    async def run() -> list[str]:
        return list(await apply(database_url))

    try:
        applied = _run(run())
    except (MigrationFailed, OSError) as fault:
        raise click.ClickException(str(fault)) from None
    click.echo("\n".join(f"applied {version}" for version in applied) or "nothing to apply")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="JSON instead of lines.")
def doctor(as_json: bool) -> None:
    """Check every setting and everything they lead to; exit code 1 if anything is broken.

    Database and migrations, Supabase and Google, signing keys, Fly's token and organisation, image, clock, replicas.
    Each finding has a code, and what to do about it. Reads the same environment as `serve`, and changes nothing.
    """
    from gateway.operate.doctor import examine, report
    from provisioner.store.database import connection_to
    from provisioner.store.migrate import known_versions

    sys.exit(report(examine(os.environ, connection_to, known_versions()), as_json=as_json))


async def _until_told(system: AbstractAsyncContextManager[dict[str, Any]]) -> None:
    """Keep `system` up until SIGINT or SIGTERM; say where it is in one line on stdout."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    starting = asyncio.ensure_future(system.__aenter__())
    stopping = asyncio.ensure_future(told.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if told.is_set() and not starting.done():
        starting.cancel()
        await asyncio.wait({starting})
        return
    addresses = await starting
    _leave_alone_what_stays()
    try:
        click.echo(f"ready {json.dumps(addresses)}")
        sys.stdout.flush()
        await told.wait()
    finally:
        await system.__aexit__(None, None, None)


def _leave_alone_what_stays() -> None:
    """Take what is there after the start, some hundred thousand objects, out of the garbage collector's sight.

    It would look through all of it again and again while a crowd is held: measured, a twelfth of all time then.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            return runner.run(work)
        except BadSettings as problems:
            raise click.ClickException(f"the settings cannot be used:\n{problems}") from None
        except CannotListen as taken:
            raise click.ClickException(str(taken)) from None


def _settings() -> Settings:
    try:
        return read_settings(os.environ)
    except BadSettings as problems:
        raise click.ClickException(f"the settings cannot be used:\n{problems}") from None
