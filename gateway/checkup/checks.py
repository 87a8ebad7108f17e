"""The checks themselves. Each asks the real thing, waits a few seconds at most, and never raises."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import httpx

from gateway.checkup.finding import Finding, bad, good, warn
from gateway.overview.needs import SILENT_AFTER
from gateway.settings import Settings
from provisioner.clock import Clock

PATIENCE_S: Final = 6.0
SKEW_WARN_S: Final = 5.0
SKEW_BAD_S: Final = 30.0
_DIGEST: Final = re.compile(r"@sha256:[0-9a-f]{64}$")
Connect = Callable[[], AbstractAsyncContextManager[Any]]


async def check_all(settings: Settings, clock: Clock, connect: Connect, versions: Sequence[str]) -> Sequence[Finding]:
    """Everything at once. `connect` opens a connection to the settings' database; `versions` are our migrations."""
    async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as http:
        groups = await asyncio.gather(
            _database(clock, connect, versions), _supabase(settings, clock, http), _fly(settings, http)
        )
    return [*_given(settings), *(finding for group in groups for finding in group)]


def _given(settings: Settings) -> Sequence[Finding]:
    found = [good("SET1", "All settings can be used.")]
    parts = urlsplit(settings.public_url)
    if parts.scheme == "https":
        found.append(good("SET2", f"{settings.public_url} is the public address."))
    elif parts.hostname in ("127.0.0.1", "localhost", "::1"):
        found.append(good("SET2", f"{settings.public_url} is this machine alone."))
    else:
        found.append(warn("SET2", f"{settings.public_url} is plain HTTP."))
    if _DIGEST.search(settings.golden_image):
        found.append(good("IMG1", "The image is pinned."))
    else:
        found.append(warn("IMG1", f"{settings.golden_image} is a name whose meaning may change."))
    return found


# -- the database ----------------------------------------------------------------------------------------------------


async def _database(clock: Clock, connect: Connect, versions: Sequence[str]) -> Sequence[Finding]:
    found: list[Finding] = []
    try:
        async with asyncio.timeout(PATIENCE_S * 2), connect() as connection:
            began = clock.monotonic()
            theirs: datetime = await connection.fetchval("select clock_timestamp()")
            took = clock.monotonic() - began
            found.append(good("DB1", f"It answered in {took * 1000:.0f} ms."))
            found.append(_skew("the database", theirs, clock.now(), took))
            found.append(await _schema(connection, versions))
            found.append(await _hears(connection))
            if found[-2].level == "good":
                found += await _life(connection)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as fault:
        # Its class alone: a message may repeat the address with its password.
        found.append(bad("DB1", f"It cannot be used: {type(fault).__name__}."))
    return found


async def _schema(connection: Any, versions: Sequence[str]) -> Finding:
    try:
        rows = await connection.fetch("select version from supabase_migrations.schema_migrations")
    except asyncpg.InsufficientPrivilegeError:
        return warn("DB2", "This login may not read which migrations were applied.")
    except asyncpg.UndefinedTableError:
        return bad("DB2", "No migration was ever applied.")
    missing = sorted(set(versions) - {row["version"] for row in rows})
    if missing:
        return bad("DB2", f"{len(missing)} missing, the first is {missing[0]}.")
    return good("DB2", f"All {len(versions)} migrations are applied.")


async def _hears(connection: Any) -> Finding:
    heard = asyncio.Event()
    channel = "jarvis_checkup"

    def hear(*_: object) -> None:
        heard.set()

    await connection.add_listener(channel, hear)
    try:
        await connection.execute(f"notify {channel}")
        async with asyncio.timeout(2):
            await heard.wait()
    except TimeoutError:
        return bad("DB3", "What was called out was not heard.")
    finally:
        await connection.remove_listener(channel, hear)
    return good("DB3", "What is called out is heard.")


async def _life(connection: Any) -> Sequence[Finding]:
    dead = await connection.fetchval("select count(*) from public.provisioning_queue where status = 'dead'")
    rows = await connection.fetch(
        "select name, seen_at < now() - $1::interval as silent,"
        " exists (select from jsonb_each_text(loops) where value <> 'runs') as lame from gateway.replicas",
        SILENT_AFTER,
    )
    wrong = [row["name"] for row in rows if row["silent"] or row["lame"]]
    return [
        bad("LIFE2", f"{dead} users wait and nobody tries any more.") if dead else good("LIFE2", "Nobody is."),
        bad("LIFE1", f"Not well: {', '.join(wrong)}.") if wrong else good("LIFE1", f"{len(rows)} run."),
    ]


def _skew(whose: str, theirs: datetime, ours: datetime, took_s: float) -> Finding:
    """Half of the way there and back is the best guess of when they looked; more cannot be known."""
    off = abs((ours - theirs).total_seconds()) - took_s
    told = f"{max(0.0, off):.1f} s from {whose}."
    return bad("CLK1", told) if off > SKEW_BAD_S else warn("CLK1", told) if off > SKEW_WARN_S else good("CLK1", told)


# -- Supabase --------------------------------------------------------------------------------------------------------


async def _supabase(settings: Settings, clock: Clock, http: httpx.AsyncClient) -> Sequence[Finding]:
    headers = {"apikey": settings.supabase_publishable_key.get_secret_value()}
    base = f"{settings.supabase_url}/auth/v1"
    began = clock.monotonic()
    health = await _get(http, f"{base}/health", headers)
    if isinstance(health, str) or health.status_code != 200:
        return [bad("AUTH1", health if isinstance(health, str) else f"It answered {health.status_code}.")]
    found = [good("AUTH1", f"It answered in {(clock.monotonic() - began) * 1000:.0f} ms.")]
    if (date := health.headers.get("Date")) is not None:
        skew = _skew("Supabase", parsedate_to_datetime(date), clock.now(), clock.monotonic() - began + 1)
        found += [skew] if skew.level != "good" else []
    said = await _json(http, f"{base}/settings", headers)
    google = isinstance(said, dict) and isinstance(said.get("external"), dict) and said["external"].get("google")
    if said is None:
        found.append(warn("AUTH2", "The project's settings could not be read."))
    else:
        found.append(good("AUTH2", "It is.") if google is True else bad("AUTH2", "It is off."))
    keys = await _json(http, f"{base}/.well-known/jwks.json", headers)
    n = len(keys["keys"]) if isinstance(keys, dict) and isinstance(keys.get("keys"), list) else 0
    if n:
        found.append(good("AUTH3", f"{n} signing keys are published."))
    elif settings.supabase_jwt_secret is not None:
        found.append(warn("AUTH3", "With the shared secret alone: whoever holds it can be anybody."))
    else:
        found.append(bad("AUTH3", "No key is published, and no shared secret is set."))
    return found


# -- Fly -------------------------------------------------------------------------------------------------------------


async def _fly(settings: Settings, http: httpx.AsyncClient) -> Sequence[Finding]:
    headers = {"Authorization": f"Bearer {settings.fly_api_token.get_secret_value()}"}
    apps = await _get(http, f"{settings.fly_api_url}/v1/apps?org_slug={settings.fly_org_slug}", headers)
    if isinstance(apps, str):
        return [bad("FLY1", apps)]
    if apps.status_code in (401, 403):
        return [bad("FLY1", f"It refuses the token ({apps.status_code}).")]
    if apps.status_code != 200:
        return [bad("FLY1", f"It answered {apps.status_code} when asked for the apps of {settings.fly_org_slug}.")]
    found = [good("FLY1", f"It opens {settings.fly_org_slug}.")]
    if settings.fly_isolation == "machine":
        app = await _get(http, f"{settings.fly_api_url}/v1/apps/{settings.fly_app_name}", headers)
        if not isinstance(app, str) and app.status_code == 200:
            found.append(good("FLY2", f"{settings.fly_app_name} is there."))
        else:
            told = app if isinstance(app, str) else f"Asked for {settings.fly_app_name} it answered {app.status_code}."
            found.append(warn("FLY2", told))
    return found


async def _get(http: httpx.AsyncClient, url: str, headers: dict[str, str]) -> httpx.Response | str:
    """The answer, or in a sentence why there is none."""
    try:
        return await http.get(url, headers=headers)
    except httpx.TimeoutException:
        return f"It did not answer within {PATIENCE_S:.0f} s."
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as fault:
        return f"It cannot be reached: {type(fault).__name__}."


async def _json(http: httpx.AsyncClient, url: str, headers: dict[str, str]) -> Any:
    answer = await _get(http, url, headers)
    if isinstance(answer, str) or answer.status_code != 200:
        return None
    try:
        return answer.json()
    except ValueError:
        return None


Checkup = Callable[[], Awaitable[Sequence[Finding]]]
