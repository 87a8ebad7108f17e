"""What the reconciler found at Fly and leaves to people, as things that need somebody. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gateway.overview.needs import Need
from provisioner.reconcile import What
from provisioner.reconciler import Finding

DAYS: Final = 30
"""Of a month, for a price per day."""
DOC: Final = "docs/operations.md#when-something-is-wrong"

TITLES: Final[Mapping[What, str]] = {
    What.ORPHAN_MACHINE: "A Machine whose user is gone",
    What.SURPLUS_MACHINE: "A second Machine of one user",
    What.STRANGE_MACHINE: "A Machine with our tags that is not ours",
    What.ORPHAN_APP: "An app whose user is gone",
    What.STRANGE_APP: "An app with a name like ours that is not ours",
    What.ORPHAN_VOLUME: "A disk whose user is gone",
    What.STRANGE_VOLUME: "A disk with a name like ours that is not ours",
    What.GONE_MACHINE: "A Machine is gone at Fly",
    What.GONE_VOLUME: "A disk is gone at Fly",
    What.ASLEEP: "Recorded as awake, and asleep at Fly",
    What.AWAKE: "Recorded as asleep, and running at Fly",
}
_OF_SOMEBODY: Final = (What.GONE_MACHINE, What.GONE_VOLUME, What.ASLEEP, What.AWAKE)
"""These have a row, and so a page."""


def needs_of_findings(findings: Iterable[Finding]) -> Sequence[Need]:
    """What nobody mends or reaps by itself, in the given order. What is still watched needs nobody yet."""
    return [_of(finding) for finding in findings if finding.left_alone]


def _of(finding: Finding) -> Need:
    seen = finding.sighting
    return Need(
        kind="orphan",
        title=f"{TITLES[seen.what]}: {seen.resource} in {seen.app}",
        cause=f"{finding.outcome}. Seen {finding.times} times.",
        since=finding.first_at,
        usd_per_day=finding.usd_per_month / DAYS,
        user_id=seen.user_id if seen.what in _OF_SOMEBODY else None,
        doc=DOC,
    )
