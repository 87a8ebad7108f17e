"""A cloud in this process and a gateway before it in another, each on a core of its own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from bench.cloud import TOKEN, settings_for
from bench.processes import Child
from bench.systems import free_ports
from localcloud.auth import local_auth
from localcloud.database import embedded_postgres
from localcloud.fly import Latencies, LocalFly, local_fly
from localcloud.fly.limits import DOCUMENTED
from provisioner.store.migrate import migrate

BOOT_S: Final = 1.5
"""From a Machine's creation to its listening, and of a start from `stopped`."""
RESUME_S: Final = 0.3
"""Fly's docs: a few hundred milliseconds."""
_KEPT: Final = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "SSL_CERT_FILE")
_SERVE: Final = Path(sys.executable).with_name("my-jarvis")


@dataclass(frozen=True, slots=True)
class Stage:
    """A gateway, the Fly behind it, and a look into the database."""

    public: str
    admin: str
    admin_token: str
    fly: LocalFly
    rows: Any
    log: Path


@asynccontextmanager
async def staged(folder: Path, *, core: str, isolation: str, settings: Mapping[str, str]) -> AsyncIterator[Stage]:
    """Everything up, the gateway on `core`; `settings` are its own, over those of the bench."""
    public, admin, broker = (f"127.0.0.1:{port}" for port in free_ports(3))
    latencies = Latencies(create=0.0, start=BOOT_S, resume=RESUME_S, suspend=0.05)
    async with (
        embedded_postgres(folder / "postgres", durable=False) as database,
        local_auth(
            folder / "auth",
            site_url=f"http://{public}",
            publishable_key="sb_publishable_bench",
            secret_key="sb_secret_bench",
        ) as auth,
        local_fly(
            folder / "fly",
            token=TOKEN,
            command=None,
            thin=True,
            region="fra",
            limits=DOCUMENTED,
            latencies=latencies,
        ) as fly,
        asyncpg.create_pool(database.admin_dsn, min_size=1, max_size=4) as rows,
    ):
        auth.project.rate_burst = auth.project.rate_per_hour = 1_000_000  # sign-ins are not what is measured
        await migrate(database.owner_dsn)
        environment = {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            **settings_for(f"http://{public}", auth=auth, dsn=database.dsn, fly_url=fly.url),
            "PUBLIC_LISTEN": public,
            "ADMIN_LISTEN": admin,
            "BROKER_LISTEN": broker,
            "MACHINES_ISOLATION": isolation,
            **settings,
        }
        log = folder / "gateway.log"
        child = Child([_SERVE, "serve"], core=core, log=log, environment=environment)
        await asyncio.to_thread(child.__enter__)
        try:
            await asyncio.to_thread(child.line, "ready ")
            yield Stage(f"http://{public}", f"http://{admin}", environment["ADMIN_TOKEN"], fly, rows, log)
        finally:
            await asyncio.to_thread(child.__exit__, None, None, None)
