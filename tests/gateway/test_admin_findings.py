"""What the reconciler leaves to people, in the admin API, in "needs you" and on the dashboard."""

from aiohttp.test_utils import TestClient

from gateway.overview.orphans import TITLES
from provisioner.reconcile import Sighting, What
from provisioner.store.sightings import SightingTable
from tests.parts.admin import AUTH, printed, typed
from tests.parts.back import APP, Back


def test_everything_that_may_be_found_has_a_title() -> None:
    assert set(TITLES) == set(What)


async def test_an_orphan_that_is_left_to_people_needs_somebody(back: Back, admin: TestClient) -> None:
    """With what it costs a day; one that is only watched needs nobody yet."""
    record = SightingTable(back.pool, back.parts.clock)
    disk = Sighting(resource="vol_1", what=What.ORPHAN_VOLUME, app=APP, size_gb=10)
    watched = Sighting(resource="m_1", what=What.ORPHAN_MACHINE, app=APP)
    await record.see(APP, [(disk, 1.5), (watched, 3.0)])
    await record.settle(disk, "left alone: REAP is `machines`")
    told = (await (await admin.get("/v1/findings", headers=AUTH)).json())["findings"]
    assert [(each["resource"], each["what"], each["needs_somebody"]) for each in told] == [
        ("m_1", "orphan_machine", False),
        ("vol_1", "orphan_volume", True),
    ]
    (need,) = (await (await admin.get("/v1/needs", headers=AUTH)).json())["needs"]
    assert (need["kind"], need["usd_per_day"], need["since"]) == ("orphan", 0.05, told[1]["first_at"])
    assert "vol_1" in need["title"]
    assert "REAP is `machines`" in need["cause"]
    assert need["doc"].startswith("docs/operations.md#")
    front = await (await admin.get("/", headers=AUTH)).text()
    assert "A disk whose user is gone: vol_1" in front
    assert need["doc"] in front
    assert "m_1" not in front


async def test_findings_are_typed(back: Back, where: dict[str, str]) -> None:
    assert "as recorded" in (await typed("findings", **where)).output
    disk = Sighting(resource="vol_1", what=What.STRANGE_VOLUME, app=APP)
    await SightingTable(back.pool, back.parts.clock).see(APP, [(disk, 1.5)])
    assert "vol_1" in (await typed("findings", **where)).output
    (told,) = printed(await typed("findings", "--json", **where))
    assert (told["what"], told["outcome"]) == ("strange_volume", None)
