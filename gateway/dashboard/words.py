"""What the switches are called, and what holding them back means."""

from dataclasses import dataclass
from typing import Final

from provisioner.switches import Switch


@dataclass(frozen=True, slots=True)
class SwitchWords:
    """`public`: users read the message."""

    title: str
    what: str
    button: str
    public: bool


SWITCH_WORDS: Final = {
    Switch.PAUSE_PROVISIONING: SwitchWords(
        "New Machines are held back",
        "Whoever is new keeps a place in the queue and is told so. Those who have a Machine notice nothing.",
        "Hold back",
        public=True,
    ),
    Switch.PAUSE_SWEEPS: SwitchWords(
        "Sleep is held back",
        "No Machine is suspended or stopped by itself; that costs money as long as it lasts.",
        "Hold back",
        public=False,
    ),
    Switch.MAINTENANCE: SwitchWords(
        "Closed for maintenance",
        "Everybody gets a page that says so (503). Open WebSockets and streams go on; health checks pass.",
        "Close",
        public=True,
    ),
}
