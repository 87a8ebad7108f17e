"""What the composition root reads at start beside the settings: the plans."""

from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from gateway.back import offer_of
from gateway.settings import BadSettings, read_settings
from provisioner.offer import shipped
from tests.gateway.test_settings import GOOD


def test_without_a_file_the_plans_are_those_that_we_ship() -> None:
    assert offer_of(read_settings(GOOD)) == shipped()


def test_settings_hold_for_every_plan() -> None:
    offer = offer_of(read_settings({**GOOD, "SUSPEND_AFTER_S": "20", "MACHINE_MEMORY_MB": "256"}))
    assert {plan.suspend_after for plan in offer.plans.values()} == {timedelta(seconds=20)}
    assert {plan.guest.memory_mb for plan in offer.plans.values()} == {256}


def test_a_file_of_ones_own_is_read_and_its_problems_are_settings_problems(tmp_path: Path) -> None:
    text = (files("provisioner") / "plans.toml").read_text()
    file = tmp_path / "plans.toml"
    file.write_text(text.replace("volume_gb = 5", "volume_gb = 7"))
    assert offer_of(read_settings({**GOOD, "PLANS_FILE": str(file)})).plans["pro"].volume_gb == 7
    file.write_text(text.replace("volume_gb = 5", "volume_gb = 0").replace("burst = 4000", "burst = 0"))
    with pytest.raises(BadSettings) as told:
        offer_of(read_settings({**GOOD, "PLANS_FILE": str(file)}))
    assert [line.split(":")[:2] for line in str(told.value).splitlines()] == [
        ["PLANS_FILE", " plans.pro.volume_gb"],
        ["PLANS_FILE", " plans.pro.requests.burst"],
    ]
    with pytest.raises(BadSettings, match=r"PLANS_FILE: .*nowhere"):
        offer_of(read_settings({**GOOD, "PLANS_FILE": str(tmp_path / "nowhere")}))
