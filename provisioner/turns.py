"""Turns that all replicas take together, for what Fly counts from all of them."""

from typing import Protocol


class Turns(Protocol):
    """Token buckets by (action, thing): `burst` at once, refilled at `per_second`. All replicas draw from the same."""

    async def take(self, action: str, thing: str, *, per_second: float, burst: int) -> float:
        """Take the next turn: the seconds until it comes, 0 for now."""

    async def give_back(self, action: str, thing: str, *, per_second: float) -> None:
        """The turn was not used."""

    async def pause(self, action: str, thing: str, seconds: float, *, per_second: float, burst: int) -> None:
        """Nobody's turn comes for so long, and there is no burst after it."""
