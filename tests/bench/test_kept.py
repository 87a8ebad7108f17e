"""Figures of several runs, put together."""

from pathlib import Path

from bench.kept import Kept
from bench.profile import Profile, Share
from bench.targets import NGINX, Lane


def a_run(figure: str, value: float, *, rounds: int, load: float = 0.1) -> Kept:
    run = Kept(pieces=1, rounds_done=rounds, took_s=60, load_before=load, versions={NGINX: "1.22.1"})
    run.rounds.add(NGINX, {figure: value})
    return run


def test_pieces_add_up_and_the_later_counts(tmp_path: Path) -> None:
    kept = Kept()
    for piece in (
        a_run("churn_s", 1.0, rounds=5),
        a_run("req_s", 2.0, rounds=3, load=2.0),
        a_run("churn_s", 3.0, rounds=4),
        Kept(pieces=1, guard={"rss_mb": 25.0}),
    ):
        kept.add(piece)
        kept.write(tmp_path / "kept.json")
        kept = Kept.read(tmp_path / "kept.json")
    assert kept.rounds.median("churn_s", NGINX) == 3.0
    assert kept.rounds.median("req_s", NGINX) == 2.0
    assert (kept.pieces, kept.rounds_done, kept.took_s, kept.load_before) == (4, 3, 180, 2.0)
    assert kept.guard == {"rss_mb": 25.0}


def test_profiles_survive(tmp_path: Path) -> None:
    profile = Profile(shares=[Share("take (a.py)", 0.5, 0.6)], rooms=[("a", 0.5)], libraries=[("[kernel]", 0.3)])
    Kept(profiles={Lane.FAST: profile}).write(tmp_path / "kept.json")
    assert Kept.read(tmp_path / "kept.json").profiles == {Lane.FAST: profile}


def test_nothing_kept_is_nothing(tmp_path: Path) -> None:
    assert Kept.read(tmp_path / "kept.json").pieces == 0
