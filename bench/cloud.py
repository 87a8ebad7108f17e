"""The local cloud behind the gateway under test, as a process of its own: `python -m bench.cloud FOLDER URL COMMAND…`.

Prints `ready {…}` with the settings for `my-jarvis serve`, and ends with its standard input. Every Machine's process
is COMMAND.
"""

import asyncio
import base64
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from localcloud.auth import LocalAuth, local_auth
from localcloud.database import embedded_postgres
from localcloud.fly import local_fly
from localcloud.fly.faults import Latencies
from localcloud.fly.limits import UNLIMITED
from provisioner.store.migrate import migrate

TOKEN: Final = "bench-fly-token"


def settings_for(public_url: str, *, auth: LocalAuth, dsn: str, fly_url: str) -> dict[str, str]:
    """What `my-jarvis serve` needs to know of this cloud, but for its own listeners."""
    return {
        "PUBLIC_URL": public_url,
        "SUPABASE_URL": auth.url,
        "SUPABASE_PUBLISHABLE_KEY": auth.publishable_key,
        "SUPABASE_SECRET_KEY": auth.secret_key,
        "DATABASE_URL": dsn,
        "GATEWAY_MASTER_KEYS": "bench:" + base64.urlsafe_b64encode(bytes(range(32))).decode(),
        "ADMIN_TOKEN": "bench-bench-bench-bench-bench",
        "FLY_API_URL": fly_url,
        "FLY_API_TOKEN": TOKEN,
        "MACHINES_APP_NAME": "jarvis-machines",
        "MACHINES_ISOLATION": "machine",
        "MACHINES_REGION": "fra",
        "GOLDEN_IMAGE": "registry.fly.io/jarvis-golden:bench",
        "GATEWAY_ENV": "bench",
        # A system that waits for its turn is not to be put to sleep; the sweeper sweeps all the same.
        "SUSPEND_AFTER_S": "7200",
        # One user asks as fast as the machine can.
        "RATE_LIMITS": "off",
    }


async def cloud(folder: Path, public_url: str, command: Sequence[str]) -> None:
    """Database, Auth and Fly, until standard input ends."""
    at_once = Latencies(create=0, start=0, resume=0, suspend=0)  # what Fly takes is not ours to measure
    async with (
        embedded_postgres(folder / "postgres", durable=False) as database,
        local_auth(
            folder / "auth", site_url=public_url, publishable_key="sb_publishable_bench", secret_key="sb_secret_bench"
        ) as auth,
        local_fly(
            folder / "fly", token=TOKEN, command=command, region="fra", limits=UNLIMITED, latencies=at_once
        ) as fly,
    ):
        await migrate(database.owner_dsn)
        settings = settings_for(public_url, auth=auth, dsn=database.dsn, fly_url=fly.url)
        print("ready", json.dumps(settings), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(cloud(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
