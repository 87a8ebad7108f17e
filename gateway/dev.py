"""`my-jarvis dev`: the whole system on one machine. The one module that knows the local cloud."""

import json
import os
import secrets
import shlex
import socket
import sys
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.app import Running, running
from gateway.listen import bind, url_of
from gateway.settings import Settings, read_settings
from localcloud.auth import local_auth
from localcloud.database import embedded_postgres
from localcloud.fly import local_fly
from provisioner.clock import SystemClock
from provisioner.store.migrate import migrate

FIXED: Final = {
    "GATEWAY_ENV": "dev",
    "DEPLOYMENT": "local",
    "FLY_ORG_SLUG": "personal",
    "MACHINES_APP_NAME": "jarvis-machines",
    "MACHINES_REGION": "fra",
    "GOLDEN_IMAGE": "registry.fly.io/jarvis-golden:local",
}


@asynccontextmanager
async def local_system(
    *,
    data_dir: Path,
    public_port: int,
    admin_port: int,
    broker_port: int,
    app_command: str | None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[dict[str, Any]]:
    """Everything up, on loopback; yields what the `ready` line says. Data stay in `data_dir` over restarts.

    Port 0 picks a free one. Leaving the block ends every process that was started.
    """
    environment = os.environ if environment is None else environment
    data_dir = data_dir.resolve()  # noqa: ASYNC240  at start, before anything waits for us
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = _secrets(data_dir / "secrets.json")
    async with AsyncExitStack() as stack:
        # Bound first: the local Auth must know the public address before anybody can sign in.
        sockets = {
            "public": stack.enter_context(bind(f"127.0.0.1:{public_port}")),
            "admin": stack.enter_context(bind(f"127.0.0.1:{admin_port}")),
            "broker": stack.enter_context(bind(f"127.0.0.1:{broker_port}")),
        }
        public_url = url_of(sockets["public"])
        database = await stack.enter_async_context(embedded_postgres(data_dir / "postgres"))
        await migrate(database.owner_dsn)
        # The App belongs to the image, so that another --app-command reaches Machines that exist already.
        app = app_command or f"{shlex.quote(sys.executable)} -m golden.app"
        ports = Ports(data_dir / "ports.json")
        auth = await stack.enter_async_context(
            local_auth(
                data_dir / "auth",
                site_url=public_url,
                allow=[f"http://account.localhost:{urlsplit(public_url).port}/auth/callback*"],
                port=ports.usual("auth"),
                publishable_key=kept["publishable_key"],
                secret_key=kept["secret_key"],
                mirror_dsn=database.admin_dsn,
            )
        )
        fly = await stack.enter_async_context(
            local_fly(
                data_dir / "fly",
                token=kept["fly_token"],
                command=["/usr/bin/env", f"JARVIS_COMMAND={app}", sys.executable, "-m", "golden.guard"],
                port=ports.usual("fly"),
                region=FIXED["MACHINES_REGION"],
            )
        )
        ports.remember(auth=auth.url, fly=fly.url)
        settings = read_settings(
            {
                # Anything else may be tried out from the environment, such as SUSPEND_AFTER_S=20.
                **{name.upper(): environment.get(name.upper(), "") for name in Settings.model_fields},
                # One app for all is a few round trips quicker to make; FLY_ISOLATION=app shows the other way.
                "FLY_ISOLATION": environment.get("FLY_ISOLATION") or "machine",
                **FIXED,
                "PUBLIC_URL": public_url,
                "SUPABASE_URL": auth.url,
                "SUPABASE_PUBLISHABLE_KEY": kept["publishable_key"],
                "SUPABASE_SECRET_KEY": kept["secret_key"],
                "DATABASE_URL": database.dsn,
                "GATEWAY_MASTER_KEYS": kept["master_keys"],
                "ADMIN_TOKEN": kept["admin_token"],
                "FLY_API_URL": fly.url,
                "FLY_API_TOKEN": kept["fly_token"],
            }
        )
        gateway: Running = await stack.enter_async_context(
            running(settings, SystemClock(), sockets=sockets, replica="dev")
        )
        yield {
            "public": public_url,
            "admin": gateway.admin,
            "broker": gateway.broker,
            "fly": fly.url,
            "auth": auth.url,
            "database": database.dsn,
            "admin_token": kept["admin_token"],
        }


class Ports:
    """Where the local cloud listened last time, so that it is found there again.

    It matters for Auth: its address is the issuer of every token that a browser's session stands on.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def usual(self, name: str) -> int:
        """The port of last time if it is free, else 0."""
        port = self._known.get(name, 0)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            return 0
        return port

    def remember(self, **urls: str) -> None:
        self._path.write_text(json.dumps({name: urlsplit(url).port for name, url in urls.items()}))


def _secrets(path: Path) -> dict[str, str]:
    """Random once, the same at every start: sessions and Machines outlive a restart."""
    if path.exists():
        loaded: dict[str, str] = json.loads(path.read_text())
        return loaded
    made = {
        "publishable_key": f"sb_publishable_{secrets.token_urlsafe(16)}",
        "secret_key": f"sb_secret_{secrets.token_urlsafe(16)}",
        "fly_token": secrets.token_urlsafe(24),
        "admin_token": secrets.token_urlsafe(24),
        "master_keys": f"local:{urlsafe_b64encode(secrets.token_bytes(32)).decode()}",
    }
    half = path.with_suffix(".new")
    half.touch(mode=0o600)
    half.write_text(json.dumps(made, indent=1))
    half.rename(path)
    return made
