"""Whether Supabase Auth answers: asked before a browser is sent there, where only its own bare error would await it."""

import asyncio
from typing import Final

from gateway.session.supabase import SupabaseAuth, SupabaseSilent
from provisioner.clock import Clock

KNOWN_FOR_S: Final = 2.0
"""How long an answer speaks for everybody: a rush to sign in must cost Supabase next to nothing, and an outage be
noticed at once, its end too."""


class Pulse:
    """One question at a time, its answer remembered. Used from one event loop."""

    def __init__(self, supabase: SupabaseAuth, clock: Clock) -> None:
        self._supabase, self._clock = supabase, clock
        self._one_at_a_time = asyncio.Lock()
        self._silence: str | None = None
        self._until = float("-inf")

    async def check(self) -> None:
        """Return if Supabase Auth answers, or did lately. Raises SupabaseSilent."""
        async with self._one_at_a_time:
            if self._clock.monotonic() >= self._until:
                await self._ask()
            if self._silence is not None:
                raise SupabaseSilent(self._silence)

    async def _ask(self) -> None:
        try:
            await self._supabase.check_health()
            self._silence = None
        except SupabaseSilent as silent:
            self._silence = str(silent)
        self._until = self._clock.monotonic() + KNOWN_FOR_S
