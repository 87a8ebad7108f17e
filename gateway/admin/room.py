"""The admin room put together: every desk, its door and its loops. Adapters are handed in."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

from gateway.admin.book import AdminBook
from gateway.admin.events import EventDesk
from gateway.admin.feed import Feed, Log
from gateway.admin.findings import Findings, FindingsDesk
from gateway.admin.glancing import GlanceDesk
from gateway.admin.guard import Doorkeeper
from gateway.admin.healthy import HealthDesk
from gateway.admin.hooks import HookDesk
from gateway.admin.instances import InstanceDesk, Records
from gateway.admin.keys import Once
from gateway.admin.people import People
from gateway.admin.queueing import QueueingDesk
from gateway.admin.rolling import RolloutDesk
from gateway.admin.routes import AdminApi
from gateway.admin.sessions import OperatorSessions
from gateway.admin.shown import EntryShown
from gateway.admin.signups import SignupDesk, Signups
from gateway.admin.stories import Keeper, StoryDesk
from gateway.admin.switching import SwitchDesk
from gateway.admin.visits import VisitDesk
from gateway.checkup.checks import Checkup
from gateway.dashboard.door import Dashboard
from gateway.dashboard.drawing import Drawing
from gateway.dashboard.frame import Frame
from gateway.dashboard.pages import Pages
from gateway.dashboard.rollouts import RolloutPage
from gateway.dashboard.visits import Guests, VisitPage
from gateway.observe import Metrics
from gateway.overview.book import OverviewBook
from gateway.overview.glance import Clouds, Overview
from gateway.overview.needs import Need, needs_of_rollout
from gateway.overview.orphans import needs_of_findings
from gateway.overview.replica import Heart
from gateway.session.visits import Visits
from gateway.webhooks.book import WebhookBook
from gateway.webhooks.courier import Courier
from provisioner.audit import Entry, Trail
from provisioner.clock import Clock
from provisioner.lifecycle import Lifecycle
from provisioner.operators import Operators
from provisioner.plans import Plans
from provisioner.pool import PoolStatus
from provisioner.prices import Prices
from provisioner.queue import QueueDesk
from provisioner.rollout import Rollouts
from provisioner.subscriptions import Subscriptions
from provisioner.switches import Switches, SwitchRecords


class AdminStore(Records, Trail, Log, Protocol):
    """The store, as far as operators need it."""


@dataclass(frozen=True, slots=True)
class AdminRoom:
    """The application for the listener, and `loops`: what has to run beside it, by name."""

    api: AdminApi
    loops: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]


def admin_room(
    *,
    pool: Any,
    queries: Any,
    store: AdminStore,
    news: Callable[[], AsyncGenerator[str | None, None]],
    lifecycle: Lifecycle,
    clock: Clock,
    metrics: Metrics,
    operators: Operators,
    signups: Signups,
    visits: Visits,
    public_url: str,
    token: str,
    open_metrics: bool,
    master_keys: Mapping[str, bytes],
    switch_records: SwitchRecords,
    switches: Switches,
    webhook_queries: Any,
    webhooks_private: bool,
    overview_queries: Any,
    cloud: Clouds,
    queue: QueueDesk,
    spares: Callable[[], Awaitable[PoolStatus]],
    rollouts: Rollouts,
    findings: Findings,
    awake: Keeper,
    subscriptions: Subscriptions,
    plans: Plans,
    prices: Prices,
    checkup: Checkup,
    replica: str,
    working: Callable[[], Mapping[str, str]],
) -> AdminRoom:
    """`queries` are those of sql/queries/admin.sql, `webhook_queries` and `overview_queries` as they are named.

    `news`: an item for each row of the audit log, see Feed. `working`: this replica's background work, see Heart.
    """
    book = AdminBook(pool, queries, clock)
    feed = Feed(store, news, clock)
    webhooks = WebhookBook(pool, webhook_queries, clock, master_keys)
    overview_book = OverviewBook(pool, overview_queries)

    async def orphans() -> Sequence[Need]:
        return needs_of_findings(await findings())

    async def halted() -> Sequence[Need]:
        return needs_of_rollout(await rollouts.newest())

    overview = Overview(overview_book, lifecycle, cloud, plans, prices, clock, more=[orphans, halted])
    sessions = OperatorSessions(book, clock)
    instances = InstanceDesk(store, lifecycle, clock)
    door = Doorkeeper(
        token=token, operators=operators, sessions=sessions, trail=store, clock=clock, open_metrics=open_metrics
    )
    drawing = Drawing()
    frame, guests = Frame(drawing, switch_records, clock), Guests(visits, overview_book)
    pages = Dashboard(
        drawing,
        [
            Pages(
                frame,
                overview=overview,
                records=store,
                trail=store,
                awake=awake,
                signups=signups,
                guests=guests,
                checkup=checkup,
                replica=replica,
            ),
            RolloutPage(frame, rollouts, overview_book),
            VisitPage(frame, guests),
        ],
        door=door,
        sessions=sessions,
        trail=store,
    )
    api = AdminApi(
        instances,
        GlanceDesk(overview, instances),
        People(operators, store),
        SignupDesk(signups),
        VisitDesk(visits, store, public_url),
        EventDesk(feed),
        SwitchDesk(switch_records, switches),
        HookDesk(webhooks, private=webhooks_private),
        HealthDesk(checkup),
        QueueingDesk(queue, spares, subscriptions, plans),
        RolloutDesk(rollouts),
        FindingsDesk(findings),
        StoryDesk(awake),
        door=door,
        once=Once(book, master_keys, clock),
        metrics=metrics,
        pages=pages,
    )
    heart = Heart(
        overview_book, clock, name=replica, version=version("my-jarvis"), loops=working, ended=cloud.take_ended
    )
    courier = Courier(webhooks, feed, clock, show=entry_json, private=webhooks_private)
    return AdminRoom(api, {"audit_news": feed.run, "webhooks": courier.run, "heart": heart.run})


def entry_json(entry: Entry) -> dict[str, Any]:
    """A row of the audit log as a webhook tells it, which is as the API does."""
    return EntryShown.of(entry).model_dump(mode="json")
