"""How long to wait before trying again. Pure: chance is handed in."""


def backoff(attempt: int, *, first: float, cap: float, chance: float) -> float:
    """Seconds before attempt number `attempt` + 1: doubling from `first`, at most `cap`, jittered over its upper half.

    `attempt` counts from 1; `chance` is in [0, 1). Jitter keeps a fleet from knocking in step, and the lower bound of
    half the delay keeps an unlucky draw from hammering.
    """
    full = min(cap, first * 2.0 ** min(attempt - 1, 32))
    return full * (0.5 + 0.5 * chance)
