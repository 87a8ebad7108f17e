"""The short form of `make chaos`: a few people, a few kinds of trouble, a few deaths."""

from pathlib import Path
from typing import Final

import pytest

from bench.lifecycle.page import shown
from gateway.failpoints import every_point
from localcloud.database import Database
from tests.chaos.report import written
from tests.chaos.run import Plan, run
from tests.chaos.scenes import SCENES
from tests.chaos.troubles import TROUBLES
from tests.chaos.waves import Part

TROUBLED: Final = ("429", "lost answer after success", "Machines die")
DEADLY: Final = (
    "store.create:after",
    "cloud.create_machine:after",
    "store.move.draining.suspend:after",
    "cloud.suspend:after",
    "cloud.start:after",
)


@pytest.mark.timeout(300)
async def test_everybody_is_served_whatever_fails_and_whoever_dies(database: Database, tmp_path: Path) -> None:
    """Fly fails, Machines die, gateways are killed in the worst moments: each of us has one Machine, and our data."""
    plan = Plan(seed=1, troubles=TROUBLED, people=3, points=DEADLY, part=Part("suspended", "one"))
    result = await run(plan, tmp_path, database)
    assert result.findings == []
    assert [drill.struck for drill in result.drills] == [1] * len(DEADLY)
    assert sum(wave.struck for wave in result.waves) > 0
    told = written(result, day="2026-01-01")
    assert "0 findings" in told
    assert all(f"`{point}`" in told for point in DEADLY)


def test_what_the_short_form_does_is_part_of_the_long_one() -> None:
    assert set(TROUBLED) <= set(TROUBLES)
    assert set(DEADLY) <= set(every_point())
    assert "suspended" in SCENES


def test_only_the_part_of_the_page_that_is_ours_is_written() -> None:
    page = "# R\n<!-- measured: chaos -->\nold\n<!-- end -->\n<!-- measured: lifecycle -->\nkept\n<!-- end -->\n"
    assert shown(page, "chaos", "new\n") == page.replace("old", "new")
    with pytest.raises(KeyError):
        shown(page, "weather", "new\n")
