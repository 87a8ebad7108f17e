"""A Postgres in a folder: it comes up, keeps its data, and leaves nothing behind, however it is treated."""

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest

from localcloud import binaries, postmaster
from localcloud.binaries import Account
from localcloud.database import Database, DataDirInUse, ServerFailed, embedded_postgres

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Below a 0700 folder: as root, the user that Postgres runs as may not even walk there."""
    tmp_path.chmod(0o700)
    return tmp_path / "data"


@asynccontextmanager
async def asking(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def remember(database: Database, word: str) -> None:
    async with asking(database.admin_dsn) as connection:
        await connection.execute("create table if not exists remembered (word text)")
        await connection.execute("insert into remembered values ($1)", word)


async def remembered(database: Database) -> list[str]:
    async with asking(database.admin_dsn) as connection:
        return [row["word"] for row in await connection.fetch("select word from remembered order by word")]


def postmaster_of(folder: Path) -> int:
    return int((folder / "cluster" / "postmaster.pid").read_text().splitlines()[0])


async def gone(pid: int) -> None:
    """Return when no process, and no zombie, has `pid`."""
    async with asyncio.timeout(20):
        while exists(pid):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def process(*command: str | Path, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the block."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, **options) as started:
        try:
            yield started
        finally:
            started.kill()


async def test_the_product_connects_as_a_plain_role_and_an_operator_as_the_owner(folder):
    async with embedded_postgres(folder, durable=False) as database:
        for dsn, name in (
            (database.dsn, "gateway"),
            (database.owner_dsn, "postgres"),
            (database.data_api_dsn, "authenticator"),
            (database.admin_dsn, "supabase_admin"),
        ):
            async with asking(dsn) as connection:
                assert await connection.fetchval("select current_user") == name
        async with asking(database.owner_dsn) as owner:
            mine = "select rolsuper, rolcreaterole, rolbypassrls from pg_roles where rolname = current_user"
            assert tuple(await owner.fetchrow(mine)) == (False, True, True)


async def test_what_was_written_is_there_after_a_restart_under_the_same_address(folder):
    async with embedded_postgres(folder) as first:
        await remember(first, "ada")
    async with embedded_postgres(folder) as second:
        assert await remembered(second) == ["ada"]
        assert (second.dsn, second.admin_dsn) == (first.dsn, first.admin_dsn)


async def test_it_survives_the_murder_of_its_postmaster(folder):
    async with embedded_postgres(folder) as database:
        await remember(database, "ada")
        os.kill(postmaster_of(folder), signal.SIGKILL)
    async with embedded_postgres(folder) as database:
        assert await remembered(database) == ["ada"]


async def test_a_second_user_of_the_folder_is_told_who_has_it(folder):
    async with embedded_postgres(folder, durable=False) as database:
        with pytest.raises(DataDirInUse, match=f"in use by process {os.getpid()}") as refused:
            async with embedded_postgres(folder):
                pass
        assert refused.value.pid == os.getpid()
        await remember(database, "undisturbed")


OWNER = """
import asyncio, signal, sys
from pathlib import Path
from localcloud.database import embedded_postgres

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where these tests run in the background of a shell

async def own():
    async with embedded_postgres(Path(sys.argv[1])) as database:
        print(database.admin_dsn, flush=True)
        await asyncio.Event().wait()

asyncio.run(own())
"""


@pytest.mark.parametrize("kernel", ["tells", "is silent"])
async def test_when_its_owner_is_killed_the_server_stops_and_the_data_stay(folder, kernel):
    """Closing the laptop's terminal the hard way leaves no server behind that nobody stops."""
    patch = "from localcloud import postmaster; postmaster._libc = None" if kernel == "is silent" else ""
    with process(sys.executable, "-c", patch + OWNER, folder) as owner:
        dsn = await asyncio.to_thread(owner.stdout.readline)
        async with asking(dsn.strip()) as connection:
            await connection.execute("create table remembered (word text)")
            await connection.execute("insert into remembered values ('ada')")
        server = postmaster_of(folder)
    # At once, while the old one may still be on its way out.
    async with embedded_postgres(folder) as database:
        assert await remembered(database) == ["ada"]
        assert postmaster_of(folder) != server
    await gone(server)


async def test_ctrl_c_stops_the_server_in_good_order(folder):
    with process(sys.executable, "-c", OWNER, folder, stderr=subprocess.DEVNULL) as owner:
        await asyncio.to_thread(owner.stdout.readline)
        server = postmaster_of(folder)
        owner.send_signal(signal.SIGINT)
        await asyncio.to_thread(owner.wait)
    await gone(server)
    assert "database system is shut down" in (folder / "server.log").read_text()
    assert not (folder / "cluster" / "postmaster.pid").exists()


async def test_without_the_kernels_help_it_stops_as_well_and_leaves_no_watcher(folder, monkeypatch):
    """As on macOS."""
    monkeypatch.setattr(postmaster, "_libc", None)
    async with embedded_postgres(folder, durable=False) as database:
        await remember(database, "ada")
        (watcher,) = postmaster._watchers.values()
    assert watcher.poll() is not None
    assert postmaster._watchers == {}


async def test_a_stale_pid_file_that_names_a_stranger_harms_neither(folder):
    """After a power cut the number of the old postmaster may belong to anybody."""
    async with embedded_postgres(folder) as database:
        await remember(database, "ada")
        os.kill(postmaster_of(folder), signal.SIGKILL)
        left = (folder / "cluster" / "postmaster.pid").read_text().splitlines()
    account = binaries.account()
    runs_as = {"user": account.uid} if account else {}  # one that Postgres itself could not tell from its own
    with process("sleep", "600", **runs_as) as stranger:
        (folder / "cluster" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *left[1:]]) + "\n")
        async with embedded_postgres(folder) as database:
            assert await remembered(database) == ["ada"]
        assert stranger.poll() is None


async def test_a_first_start_that_was_cut_off_is_begun_anew(folder):
    async with embedded_postgres(folder, durable=False):
        pass
    (folder / "bootstrapped").unlink()
    (folder / "cluster" / "PG_VERSION").unlink()
    async with embedded_postgres(folder, durable=False) as database:
        await remember(database, "fresh")


async def test_a_newer_release_brings_its_bootstrap_to_old_data(folder):
    async with embedded_postgres(folder, durable=False) as database:
        await remember(database, "ada")
        async with asking(database.admin_dsn) as connection:
            await connection.execute("drop function auth.email()")
    (folder / "bootstrapped").write_text("of an older release")
    async with embedded_postgres(folder, durable=False) as database:
        assert await remembered(database) == ["ada"]
        async with asking(database.admin_dsn) as connection:
            assert await connection.fetchval("select auth.email()") is None


async def test_a_port_asked_for_is_the_port_one_gets(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    async with embedded_postgres(folder, port=free, durable=False) as database:
        assert f"127.0.0.1:{free}/" in database.dsn


async def test_a_port_that_is_taken_is_an_error_if_asked_for_and_avoided_if_not(folder):
    async with embedded_postgres(folder, durable=False) as database:
        port = int((folder / "port").read_text())
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        with pytest.raises(ServerFailed, match=rf"(?s)port {port}: .*Address already in use"):
            async with embedded_postgres(folder, port=port, durable=False):
                pass
        async with embedded_postgres(folder, durable=False) as elsewhere:
            assert elsewhere.dsn != database.dsn


async def test_passwords_are_in_one_private_file_and_in_no_repr(folder):
    async with embedded_postgres(folder, durable=False) as database:
        assert stat.S_IMODE((folder / "passwords.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / "cluster").stat().st_mode) == 0o700
        assert "postgresql://" not in repr(database)
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(database.admin_dsn.replace("supabase_admin:", "supabase_admin:x"))
        for host in socket.gethostbyname_ex(socket.gethostname())[2]:
            if not host.startswith("127."):
                with pytest.raises(OSError, match="Connect"):
                    await asyncpg.connect(database.dsn.replace("127.0.0.1", host))


async def test_lost_passwords_are_said_to_be_lost_and_the_data_are_kept(folder):
    async with embedded_postgres(folder, durable=False):
        pass
    (folder / "passwords.json").unlink()
    with pytest.raises(ServerFailed, match="passwords"):
        async with embedded_postgres(folder, durable=False):
            pass
    assert (folder / "cluster" / "PG_VERSION").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts Postgres as somebody else")
async def test_no_folder_above_the_data_is_opened_to_strangers(folder):
    """Other packages make every parent of the data readable for all, up to the root's home."""
    before = [place.stat().st_mode for place in folder.parents]
    async with embedded_postgres(folder, durable=False):
        assert (folder / "cluster").stat().st_uid != 0
    assert [place.stat().st_mode for place in folder.parents] == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts Postgres as somebody else")
def test_binaries_in_a_private_home_are_copied_once_to_where_they_may_be_run(monkeypatch):
    nobody = binaries.account()
    assert nobody
    found = binaries.find(nobody)
    package = found.folder.parent.parent
    with tempfile.TemporaryDirectory() as private, tempfile.TemporaryDirectory() as cache:
        home = Path(private) / package.name / "pginstall"
        shutil.copytree(found.folder, home / "bin", ignore=lambda *_: {"psql", "pg_dump"})
        for part in ("lib", "share"):
            (home / part).symlink_to(found.folder.parent / part)
        libraries = f"{package.name}.libs"
        if package.with_name(libraries).is_dir():
            (Path(private) / libraries).symlink_to(package.with_name(libraries))
        Path(cache).chmod(0o755)
        monkeypatch.setattr(binaries, "_CACHE", Path(cache) / "my-jarvis")
        monkeypatch.setattr(binaries, "_candidates", lambda: [home / "bin"])
        copied = binaries.find(nobody)
        assert copied.folder.is_relative_to(cache)
        assert binaries.find(nobody) == copied
        for program in (copied.postgres, copied.initdb):  # each finds its libraries in its own way
            told = subprocess.run([program, "--version"], user=nobody.uid, capture_output=True, check=True)
            assert b"PostgreSQL" in told.stdout


def test_no_postgres_says_how_to_get_one(monkeypatch):
    monkeypatch.setattr(binaries, "_candidates", list)
    with pytest.raises(binaries.NoPostgres, match="DATABASE_URL"):
        binaries.find(Account(uid=1, gid=1))


CLAIMS = '{"sub": "7b3c1f0e-0000-4000-8000-000000000001", "role": "authenticated", "email": "ada@example.com"}'


async def test_auth_functions_answer_from_the_claims_as_supabase_has_them(folder):
    async with embedded_postgres(folder, durable=False) as database, asking(database.data_api_dsn) as connection:
        ask = "select auth.uid()::text, auth.role(), auth.email(), auth.jwt() ->> 'sub'"
        async with connection.transaction():
            await connection.execute("set local role authenticated")
            assert tuple(await connection.fetchrow(ask)) == (None, None, None, None)
            await connection.execute("select set_config('request.jwt.claims', $1, true)", CLAIMS)
            sub = "7b3c1f0e-0000-4000-8000-000000000001"
            assert tuple(await connection.fetchrow(ask)) == (sub, "authenticated", "ada@example.com", sub)
        assert await connection.fetchval("select current_setting('request.jwt.claims', true)") == ""
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("set local role authenticated")
        await connection.execute("select set_config('request.jwt.claims', '{\"sub\": \"ada\"}', true)")
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            await connection.fetchval("select auth.uid()")
        await transaction.rollback()
