"""Whether a Machine fits its plan: a table, and a law that holds for any two sizes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.fit import Fit, fit_for, fits
from provisioner.instance import Guest
from provisioner.offer import shipped
from tests.parts.instances import an_instance

SMALL, LARGE = Guest(memory_mb=512), Guest(cpus=2, memory_mb=2048)
FIT = Fit(image="golden", guest=LARGE, volume_gb=5)


@pytest.mark.parametrize(
    ("has", "fit"),
    [
        ({"guest": LARGE, "volume_gb": 5}, True),
        ({"guest": LARGE, "volume_gb": 9}, True),  # volumes never shrink
        ({"guest": SMALL, "volume_gb": 5}, False),
        ({"guest": LARGE, "volume_gb": 4}, False),
        ({"guest": LARGE, "volume_gb": 5, "image": "older"}, False),
        ({"guest": None, "volume_gb": None}, True),  # made before sizes were recorded: no reason to lose its memory
    ],
)
def test_what_fits(has: dict[str, object], fit: bool) -> None:
    assert fits(an_instance(**has), FIT) is fit


@given(st.sampled_from(list(shipped().plans.values())), st.integers(1, 500))
def test_a_plan_never_asks_for_a_smaller_volume_and_what_was_fitted_fits(plan, volume_gb) -> None:  # type: ignore[no-untyped-def]
    wanted = fit_for(an_instance(volume_gb=volume_gb), plan, image="golden")
    assert wanted.volume_gb == max(volume_gb, plan.volume_gb)
    assert fits(an_instance(guest=wanted.guest, volume_gb=wanted.volume_gb), wanted)


@pytest.mark.parametrize("plan", shipped().plans.values(), ids=lambda plan: plan.name)
def test_a_size_is_recorded_as_it_is_written(plan) -> None:  # type: ignore[no-untyped-def]
    assert Guest.parse(str(plan.guest)) == plan.guest


@pytest.mark.parametrize("text", ["", "shared-cpu-1x", "shared-cpu-1x:512MB ", "shared-cpu-x:512MB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size of a Machine"):
        Guest.parse(text)
