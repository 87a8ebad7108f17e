"""The local Auth server, put together and running."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aiohttp import web

from localcloud.auth import account, admin, control, discovery, flows, grants
from localcloud.auth.edge import require_api_key
from localcloud.auth.errors import answer_refusals
from localcloud.auth.faults import FAULTS, Faults, inject_faults
from localcloud.auth.google import Google
from localcloud.auth.keys import KeyRing
from localcloud.auth.mirror import open_mirror
from localcloud.auth.project import Project, RefreshKind, SigningMode
from localcloud.auth.records import Session, User
from localcloud.auth.service import BASE_PATH, SERVICE, Service
from localcloud.auth.store import Store
from localcloud.auth.tokens import legacy_key_claims

MAX_BODY: Final = 1024 * 1024
STATE_FILE: Final = "auth.sqlite3"


@dataclass(frozen=True, slots=True)
class LocalAuth:
    """A running Auth server, as its project's owner sees it."""

    url: str
    """The project's URL, without `/auth/v1`: SUPABASE_URL."""
    service: Service
    faults: Faults

    @property
    def project(self) -> Project:
        return self.service.project

    @property
    def publishable_key(self) -> str:
        return self.project.publishable_key

    @property
    def secret_key(self) -> str:
        return self.project.secret_key

    @property
    def jwt_secret(self) -> str:
        """The legacy HS256 secret."""
        return self.service.keys.legacy_secret

    def legacy_key(self, role: str) -> str:
        """An API key of the old kind, for `anon` or `service_role`."""
        return self.service.keys.sign_legacy(legacy_key_claims(role, self.service.now()))


def _utc_now() -> datetime:
    return datetime.now(UTC)


def application(service: Service, faults: Faults) -> web.Application:
    """All routes. Outermost first: count, break, translate refusals, check the key."""
    app = web.Application(
        middlewares=[control.count_requests, inject_faults, answer_refusals, require_api_key], client_max_size=MAX_BODY
    )
    app[SERVICE] = service
    app[FAULTS] = faults
    app[control.REQUESTS] = Counter()
    router = app.router
    router.add_get(BASE_PATH + "/authorize", flows.authorize)
    router.add_route("GET", BASE_PATH + "/callback", flows.callback)
    router.add_route("POST", BASE_PATH + "/callback", flows.callback)
    router.add_post(BASE_PATH + "/token", grants.token)
    router.add_get(BASE_PATH + "/user", account.get_user)
    router.add_put(BASE_PATH + "/user", account.put_user)
    router.add_post(BASE_PATH + "/logout", account.logout)
    router.add_get(BASE_PATH + "/.well-known/jwks.json", discovery.jwks)
    router.add_get(BASE_PATH + "/settings", discovery.settings)
    router.add_get(BASE_PATH + "/health", discovery.health)
    router.add_get(BASE_PATH + "/admin/users", admin.list_users)
    router.add_get(BASE_PATH + "/admin/users/{user_id}", admin.get_user)
    router.add_put(BASE_PATH + "/admin/users/{user_id}", admin.put_user)
    router.add_delete(BASE_PATH + "/admin/users/{user_id}", admin.delete_user)
    service.google.add_routes(router)
    control.add_routes(router)
    return app


@asynccontextmanager
async def local_auth(
    data_dir: Path,
    *,
    site_url: str,
    allow: Sequence[str] = (),
    host: str = "127.0.0.1",
    port: int = 0,
    publishable_key: str,
    secret_key: str,
    mirror_dsn: str | None = None,
    token_lifetime_s: int = 3600,
    signing: SigningMode = "ES256",
    refresh_kind: RefreshKind = "rotating",
    now: Callable[[], datetime] = _utc_now,
) -> AsyncIterator[LocalAuth]:
    """A local Auth server on `host:port` (0: a free one) until the block ends.

    Users, sessions and keys are kept in `data_dir` and are there again next time. `mirror_dsn` names a Postgres whose
    `auth.users` and `auth.sessions` shall hold them too; it need not be up. Tokens are issued at `now()`, so a clock
    far from the true one makes tokens that others find expired or not yet issued.
    """
    project = Project(
        site_url=site_url,
        allow=tuple(allow),
        publishable_key=publishable_key,
        secret_key=secret_key,
        token_lifetime_s=token_lifetime_s,
        signing=signing,
        refresh_kind=refresh_kind,
    )
    # The address is part of every token (`iss`), so it is known before anything is served.
    listener = socket.create_server((host, port))
    origin = f"http://{host}:{listener.getsockname()[1]}"
    with closing(listener), closing(Store(data_dir / STATE_FILE)) as store:
        async with open_mirror(mirror_dsn, store.all(User), store.all(Session)) as mirror:
            service = Service(
                origin=origin,
                project=project,
                store=store,
                keys=KeyRing(store, signing, now),
                google=Google(origin=origin, callback_url=f"{origin}{BASE_PATH}/callback"),
                mirror=mirror,
                now=now,
            )
            faults = Faults()
            runner = web.AppRunner(application(service, faults), access_log=None, shutdown_timeout=2)
            await runner.setup()
            try:
                await web.SockSite(runner, listener).start()
                yield LocalAuth(origin, service, faults)
            finally:
                faults.clear()  # or requests made to hang would hold up the end
                await asyncio.shield(runner.cleanup())
