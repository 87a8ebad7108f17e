"""The composition root: with `back`, the one place that knows every room and hands each what it needs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog
from aiohttp import web

from gateway.account.book import Book
from gateway.account.csrf import FormTokens
from gateway.account.deeds import Deeds
from gateway.account.door import AccountDoor
from gateway.account.eraser import Eraser
from gateway.account.machine import MyMachine
from gateway.account.origin import AccountHost
from gateway.account.visitors import Visitors
from gateway.activity import Activity
from gateway.admin.room import admin_room
from gateway.admin.sessions import COOKIE
from gateway.back import GUARD_PORT, adapters_of, back_of_house
from gateway.broker import broker_application
from gateway.checkup.checks import check_all
from gateway.directory import Directory
from gateway.drains import Drains
from gateway.gate import Gate, GateSettings
from gateway.health import Health
from gateway.lane import FastGate
from gateway.limits.limits import RateLimits, sign_in_rate
from gateway.listen import bind, url_of
from gateway.lobby import Lobby
from gateway.observe import Metrics
from gateway.pages.account import AccountPages
from gateway.pages.machine import MachinePages
from gateway.pages.plans import cards
from gateway.pages.render import Keeping, Pages
from gateway.places import Places, Room
from gateway.proxy.lane import Lane
from gateway.proxy.limits import ProxyLimits
from gateway.proxy.relay import Relay
from gateway.proxy.server import Front
from gateway.public import Public
from gateway.request import client_ip
from gateway.retention import Kept, keep_short
from gateway.session.admissions import Mode, Rules
from gateway.session.room import open_session_room
from gateway.session.settings import SessionSettings
from gateway.settings import Settings
from gateway.severance import Severance
from gateway.traffic import OpenTraffic
from gateway.visiting import Visiting
from provisioner.clock import Clock, SystemClock
from provisioner.fly.breaker import Condition
from provisioner.store.audit import prune
from provisioner.store.database import connection_to, queries
from provisioner.store.migrate import known_versions
from provisioner.store.operators import OperatorTable
from provisioner.switches import Switch
from provisioner.tasks import Tasks

log = structlog.get_logger(__name__)

FAREWELL_S: Final = 20.0
"""For requests under way when we are told to stop. fly.toml's kill_timeout is longer."""


@dataclass(frozen=True, slots=True)
class Running:
    """Where a running gateway listens."""

    public: str
    admin: str
    broker: str


@asynccontextmanager
async def running(
    settings: Settings,
    clock: Clock,
    *,
    sockets: Mapping[str, socket.socket],
    replica: str,
) -> AsyncIterator[Running]:
    """The whole gateway, answering on `sockets` ("public", "admin", "broker", listening already).

    Leaving the block takes no new connection, lets requests under way end (at most FAREWELL_S), closes streams with
    1012, writes what is pending, and frees everything in reverse order.
    """
    dsn = settings.database_url.get_secret_value()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        adapters = await enter(adapters_of(settings, clock))
        pool, store = adapters.pool, adapters.store
        pages = Pages(plans=cards(adapters.plans.all()), keeping=_keeping(settings))
        metrics, health = Metrics(), Health(store, lambda: adapters.cloud.condition)
        rates = RateLimits(
            settings.rate_limits,
            clock.monotonic,
            plans=adapters.plans,
            factor=settings.rate_factor,
            sign_in=sign_in_rate(settings.sign_in_per_minute),
            counted=metrics.too_often,
        )
        directory = Directory(store, clock)
        activity = Activity(store, clock, every_s=settings.touch_every_s)
        limits = ProxyLimits()
        relay = Relay(limits, clock)
        stack.push_async_callback(relay.close)
        traffic = OpenTraffic(relay, activity, directory, guard_port=GUARD_PORT)
        back = await enter(
            back_of_house(
                settings,
                adapters,
                clock,
                traffic=traffic,
                replica=replica,
                told=metrics.count,
                told_pool=metrics.pool,
            )
        )
        lifecycle = back.lifecycle
        room = await enter(
            open_session_room(
                _session(settings),
                database=pool,
                clock=clock,
                client_ip=lambda request: client_ip(request.remote, request.headers, settings.client_ip_header) or None,
            )
        )
        tasks = await enter(Tasks())

        working: dict[str, str] = {}

        def in_background(name: str, work: Coroutine[Any, Any, None]) -> None:
            working[name] = "runs"
            tasks.begin(_kept_up(name, work, working), name=name)

        in_background("drains", Drains(directory, store, traffic, relay.live, clock).run())
        in_background("directory", directory.watch())
        in_background("activity", activity.run())
        in_background("sessions", room.watch(adapters.announced.hear))
        for name, work in back.loops.items():
            in_background(name, work())
        in_background("retention", keep_short(partial(prune, pool), clock, _kept(settings)))
        eraser = Eraser(Book(pool, queries("account")), lifecycle, room.supabase, clock)
        in_background("eraser", eraser.run())
        severance = Severance(relay.live, room.sessions, room.personal, room.logins, room.admissions, clock)
        in_background("severance", severance.run())
        places = Places(
            per_user=Room(requests=settings.hold_per_user, body_bytes=settings.hold_bytes_per_user),
            total=Room(requests=settings.hold_total, body_bytes=settings.hold_bytes_total),
        )
        realms = (room.sessions.names, room.account_sessions.names)
        gate = Gate(
            parts=back.parts,
            lifecycle=lifecycle,
            directory=directory,
            relay=relay,
            activity=activity,
            places=places,
            settings=GateSettings(
                hold_first_visit_s=settings.hold_first_visit_s,
                hold_navigation_s=settings.hold_navigation_s,
                hold_s=settings.hold_s,
                open_per_user=settings.open_per_user,
                read_ahead=2 * limits.read_buffer,
                scheme=settings.public_url.partition(":")[0],
                drop_cookies=frozenset(
                    name.lower().encode() for name in (COOKIE, *(name for realm in realms for name in realm.exact))
                ),
                drop_cookie_prefixes=tuple(realm.flow_prefix.lower().encode() for realm in realms),
            ),
        )
        lobby = Lobby(
            lifecycle, directory, store, clock, pages, tries=settings.queue_tries, leaving=lambda: health.draining
        )
        account = AccountDoor(
            host=AccountHost(settings.account_url),
            sessions=room.account_sessions,
            signin=room.account_signin,
            deeds=Deeds(room.account_sessions, room.personal, Book(pool, queries("account")), eraser, clock),
            visitors=Visitors(room.visits, clock),
            forms=FormTokens(settings.gateway_master_keys),
            pages=AccountPages(pages),
            machine=MyMachine(
                look=lobby.machine,
                keeper=back.awake,
                lifecycle=lifecycle,
                book=Book(pool, queries("account")),
                plans=adapters.plans,
                clock=clock,
            ),
            machine_pages=MachinePages(pages),
            app_url=settings.public_url,
            keeps_login=not room.supabase.may_delete,
        )
        public = Public(
            sessions=room.sessions,
            signin=room.signin,
            visiting=Visiting(room.visits, room.signin, pages, public_origin=settings.public_url),
            account=account,
            gate=gate,
            lobby=lobby,
            pages=pages,
            health=health,
            metrics=metrics,
            limits=rates,
            client_ip_header=settings.client_ip_header,
            origin=settings.public_url,
            switches=back.parts.switches,
        )
        fast = FastGate(
            sessions=room.sessions,
            directory=directory,
            gate=gate,
            clock=clock,
            metrics=metrics,
            limits=rates,
            client_ip_header=settings.client_ip_header,
            elsewhere=account.is_for,
        )
        switches = back.parts.switches
        switches.when_changed(lambda: setattr(fast, "closed", switches.on(Switch.MAINTENANCE)))
        lane = Lane(relay, fast.decide, fast.failed) if settings.proxy_lane == "fast" else None
        metrics.watch(
            held=lambda: places.held,
            exchanges=lambda: len(relay.live.all()),
            fly_troubled=lambda: adapters.cloud.condition is not Condition.OK,
        )
        admin = admin_room(
            pool=pool,
            queries=queries("admin"),
            store=store,
            news=partial(adapters.announced.hear, "audit_written"),
            lifecycle=lifecycle,
            clock=clock,
            metrics=metrics,
            operators=OperatorTable(pool, clock),
            signups=room.admissions,
            visits=room.visits,
            public_url=settings.public_url,
            token=settings.admin_token.get_secret_value(),
            open_metrics=settings.open_metrics,
            master_keys=settings.gateway_master_keys,
            switch_records=adapters.switch_records,
            switches=switches,
            webhook_queries=queries("webhooks"),
            webhooks_private=settings.webhooks_private,
            overview_queries=queries("overview"),
            cloud=adapters.cloud,
            queue=back.queue,
            spares=back.pool.status,
            rollouts=back.rollouts,
            findings=back.reconciler.findings,
            awake=back.awake,
            subscriptions=adapters.subscriptions,
            plans=adapters.plans,
            prices=adapters.offer.prices,
            checkup=partial(check_all, settings, clock, partial(connection_to, dsn), known_versions()),
            replica=replica,
            working=lambda: dict(working),
        )
        for name, work in admin.loops.items():
            in_background(name, work())
        await enter(_application(admin.api.application(), sockets["admin"]))
        await enter(_application(broker_application(), sockets["broker"]))
        await enter(_front(Front(public.handle, limits, lane=lane), sockets["public"], relay, health))
        where = {name: url_of(bound) for name, bound in sockets.items()}
        log.info("gateway_up", **where)
        yield Running(**where)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[dict[str, str]]:
    """`my-jarvis serve`: the gateway on the listeners that its settings name."""
    with (
        bind(settings.public_listen) as public,
        bind(settings.admin_listen) as admin,
        bind(settings.broker_listen) as broker,
    ):
        sockets = {"public": public, "admin": admin, "broker": broker}
        replica = f"{socket.gethostname()}:{url_of(public).rpartition(':')[2]}"
        async with running(settings, SystemClock(), sockets=sockets, replica=replica) as gateway:
            yield {"public": gateway.public, "admin": gateway.admin, "broker": gateway.broker}


@asynccontextmanager
async def _front(front: Front, bound: socket.socket, relay: Relay, health: Health) -> AsyncIterator[None]:
    server = await asyncio.get_running_loop().create_server(front, sock=bound)
    try:
        yield
    finally:
        health.draining = True
        server.close()
        front.pre_shutdown()  # or each idle keep-alive connection would be waited for as if it had a request
        await relay.live.drain_all(1012)
        await front.shutdown(FAREWELL_S)


@asynccontextmanager
async def _application(application: web.Application, bound: socket.socket) -> AsyncIterator[None]:
    runner = web.AppRunner(application, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.SockSite(runner, bound, shutdown_timeout=2).start()
        yield
    finally:
        await runner.cleanup()


async def _kept_up(name: str, work: Coroutine[Any, Any, None], working: dict[str, str]) -> None:
    try:
        await work
    except Exception:
        # Each loop survives what it expects. Anything else is a bug: the operator must see it, the rest goes on.
        log.exception("background_work_ended", work=name)
        working[name] = "ended"
    else:
        del working[name]  # there was nothing more to do


def _kept(settings: Settings) -> Kept:
    return Kept(
        audit=timedelta(days=settings.audit_keep_days), step_times=timedelta(days=settings.step_times_keep_days)
    )


def _keeping(settings: Settings) -> Keeping:
    return Keeping(
        account_url=settings.account_url,
        session_days=settings.session_max_days,
        audit_days=settings.audit_keep_days,
        step_times_days=settings.step_times_keep_days,
    )


def _session(settings: Settings) -> SessionSettings:
    return SessionSettings(
        public_origin=settings.public_url,
        account_origin=settings.account_url,
        rules=Rules(
            mode=Mode(settings.signup_mode),
            allow=frozenset(name.strip().lower() for name in settings.signup_allow.split(",") if name.strip()),
            cap=settings.users_cap,
        ),
        supabase_url=settings.supabase_url,
        publishable_key=settings.supabase_publishable_key.get_secret_value(),
        secret_key=settings.supabase_secret_key.get_secret_value() if settings.supabase_secret_key else None,
        legacy_jwt_secret=settings.supabase_jwt_secret.get_secret_value() if settings.supabase_jwt_secret else None,
        master_keys=settings.gateway_master_keys,
        idle_lifetime=timedelta(days=settings.session_days),
        absolute_lifetime=timedelta(days=settings.session_max_days),
    )
