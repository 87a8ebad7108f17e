"""The table of first visits."""

from bench.hub.table import Waits, table


def test_the_apps_own_boot_is_nobodys_merit_or_fault() -> None:
    """What is to be compared stands in brackets; crowds are told by their middle and by their last."""
    ours = Waits(alone=[0.250, 0.200, 0.900], together=[[0.3, 0.4, 0.5], [0.3, 0.5, 0.9], [0.2, 0.3, 0.6]])
    assert table(0.1, {"my-jarvis": ours}).splitlines()[-3:] == [
        "| system | one person | 3 at once, median | 3 at once, slowest |",
        "|---|---:|---:|---:|",
        "| my-jarvis | 250 (150) | 400 (300) | 600 (500) |",
    ]
