"""Account pages as somebody sees them, for pictures and for the checks that everybody can use them."""

from gateway.pages.account import AccountPages, Frame, SessionRow, TokenRow, VisitRow
from gateway.pages.charts import bars, strip
from gateway.pages.machine import AwakeMonth, MachinePages, MachineSheet, MomentRow, WakeRow
from gateway.pages.plans import PLANS
from gateway.pages.render import Page, Pages, seconds

FRAME = Frame(email="ada@example.com", csrf="c5rf", app_url="http://localhost")
HOURS = (2.5, 4.0, 3.2, 0, 0.4, 5.1, 6.3, 2.2, 0, 0, 1.5, 3.8, 4.4, 7.2, 5.0, 0.3, 2.9, 3.1)
MONTH = AwakeMonth(
    total="51 h 54 min",
    days=bars(HOURS, [f"{n + 1:02d} March: {value:g} h" for n, value in enumerate(HOURS)], least_top=4.0),
)


def wake(when: str, kind: str, by: str, **steps: float) -> WakeRow:
    return WakeRow(
        when=when,
        kind=kind,
        by=by,
        took=seconds(sum(steps.values())),
        strip=strip(steps, longest_s=4.2),
        steps=[(name, seconds(took)) for name, took in steps.items()],
    )


WAKES = [
    wake("12 minutes ago", "Woke", "a visit", reserve=0.02, resume=0.31, network=0.08, app=0.21, open=0.01),
    wake("5 hours ago", "Woke", "a visit", reserve=0.02, resume=0.36, network=0.09, app=0.19, open=0.01),
    wake("1 day ago", "Started", "its owner", reserve=0.03, resume=1.1, network=0.2, app=0.9, open=0.01),
    wake("3 days ago", "Made", "a visit", reserve=0.4, boot=2.3, network=0.4, app=1.0, open=0.02),
]
MOMENTS = [
    MomentRow(when=when, kind=kind, text=text)
    for when, kind, text in (
        ("just now", "extended", "To be kept awake for a while, asked for by its owner."),
        ("12 minutes ago", "woke", "Woke up where it had stopped in 0.6 s, for a visit."),
        ("4 hours ago", "suspended", "Put to sleep by the gateway: quiet for 15 minutes."),
        ("4 hours ago", "kept_awake", "Kept awake by a running agent."),
        ("5 hours ago", "woke", "Woke up where it had stopped in 0.7 s, for a visit."),
        ("3 days ago", "made", "Made in 4.1 s, for a visit."),
    )
]
ON = MachineSheet(
    state="on",
    lamp="on",
    since="12 minutes ago",
    outlook="It goes to sleep in 4 hours if nobody uses it.",
    kept="in 4 hours",
    hours=(1, 4, 8),
    may_restart=True,
)
ASLEEP = MachineSheet(
    state="asleep",
    lamp="asleep",
    since="4 hours ago",
    outlook="It wakes when you open it, where it stopped; that is given up in 6 days.",
    may_restart=True,
)
SESSIONS = [
    SessionRow(
        ref="0" * 64, device="Firefox on Linux", address="203.0.113.7", last_seen="now", of_account=True, here=True
    ),
    SessionRow(
        ref="1" * 64,
        device="Safari on iPhone",
        address="198.51.100.23",
        last_seen="2 hours ago",
        of_account=False,
        here=False,
    ),
]
TOKENS = [
    TokenRow(
        id="abcdefghijkl", name="backup script", scopes="For your machine", last_used="1 day ago", ends="in 80 days"
    )
]

VISITS = [
    VisitRow(id="v1", operator="eve", reason="You asked why a file was gone", when="2 minutes ago", live=True),
    VisitRow(id="v2", operator="max", reason="The agent hung", when="3 days ago, for 4 minutes", live=False),
]


def scenes(pages: Pages) -> dict[str, Page]:
    """By name."""
    machine, account = MachinePages(pages), AccountPages(pages)
    said = Frame(email=FRAME.email, csrf=FRAME.csrf, app_url=FRAME.app_url, said="It stays awake, however quiet it is.")
    return {
        "account": machine.overview(said, machine=ON, month=MONTH, wakes=WAKES, moments=MOMENTS, plan=PLANS[1]),
        "account-asleep": machine.overview(
            FRAME, machine=ASLEEP, month=MONTH, wakes=WAKES[1:], moments=MOMENTS[2:], plan=PLANS[1]
        ),
        "account-new": machine.overview(
            FRAME,
            machine=MachineSheet(state="not made yet", lamp="off", outlook="It is made when you open it."),
            month=AwakeMonth(total="0 min", days=bars([0.0], ["01 March: 0 min"], least_top=4.0)),
            wakes=[],
            moments=[],
            plan=PLANS[0],
        ),
        "account-plan": machine.plan(FRAME, mine=PLANS[1], plans=PLANS, month=MONTH),
        "account-sessions": account.sessions(FRAME, rows=SESSIONS),
        "account-tokens": account.tokens(
            FRAME, rows=TOKENS, new="jv_pat_abcdefghijkl_" + "x" * 43, days=(7, 30, 90, 365)
        ),
        "account-visits": account.visits(FRAME, rows=VISITS, closed=False),
        "account-data": account.data(FRAME, fresh=True, wrong=None, keeps_login=False),
        "account-data-stale": account.data(FRAME, fresh=False, wrong="That is not your address.", keeps_login=True),
        "account-goodbye": account.goodbye(),
        "account-entrance": account.entrance(app_url="http://localhost", signed_out=True),
    }
