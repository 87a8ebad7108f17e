"""What runs found, kept between them: a machine that is never silent for a quarter of an hour is measured in pieces."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.figures import Rounds
from bench.profile import Profile, Share
from bench.targets import Lane


@dataclass(slots=True, kw_only=True)
class Kept:
    """Figures of one run or of several."""

    rounds: Rounds = field(default_factory=Rounds)
    versions: dict[str, str] = field(default_factory=dict)
    profiles: dict[Lane, Profile] = field(default_factory=dict)
    guard: dict[str, float] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    rounds_done: int = 0
    """The fewest of any piece that had rounds."""
    took_s: float = 0.0
    load_before: float = 0.0
    """The highest of any piece."""
    pieces: int = 0

    def add(self, piece: "Kept") -> None:
        """What a later run found counts instead of what an earlier one did."""
        self.rounds.replace(piece.rounds.plain())
        self.versions |= piece.versions
        self.profiles |= piece.profiles
        self.guard |= piece.guard
        self.troubles += piece.troubles
        self.rounds_done = min(filter(None, (self.rounds_done, piece.rounds_done)), default=0)
        self.took_s += piece.took_s
        self.load_before = max(self.load_before, piece.load_before)
        self.pieces += piece.pieces

    def write(self, file: Path) -> None:
        plain = {name: getattr(self, name) for name in _PLAIN}
        profiles = {lane: asdict(profile) for lane, profile in self.profiles.items()}
        file.write_text(json.dumps({**plain, "rounds": self.rounds.plain(), "profiles": profiles}))

    @classmethod
    def read(cls, file: Path) -> Self:
        """What was written; nothing, if nothing was."""
        if not file.exists():
            return cls()
        told = json.loads(file.read_text())
        kept = cls(**{name: told[name] for name in _PLAIN})
        kept.rounds.replace(told["rounds"])
        kept.profiles = {Lane(lane): _profile(each) for lane, each in told["profiles"].items()}
        return kept


_PLAIN = ("versions", "guard", "troubles", "rounds_done", "took_s", "load_before", "pieces")


def _profile(told: Mapping[str, Any]) -> Profile:
    return Profile(
        shares=[Share(**share) for share in told["shares"]],
        rooms=[(room, part) for room, part in told["rooms"]],
        libraries=[(library, part) for library, part in told["libraries"]],
    )
