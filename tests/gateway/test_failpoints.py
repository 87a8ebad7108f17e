"""A process that kills itself where it was told to, and only there."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from gateway.failpoints import every_point, watcher

SCRIPT: Final = """
import sys
from pathlib import Path
from gateway.failpoints import Failpoints
reach = Failpoints(Path(sys.argv[1])).reach
for point in ("cloud.start:before", "cloud.start:after", "store.release:before"):
    reach(point)
"""


def run(file: Path) -> int:
    return subprocess.run([sys.executable, "-c", SCRIPT, str(file)], check=False).returncode


def test_a_process_dies_at_the_point_that_the_file_names_and_once(tmp_path: Path) -> None:
    file = tmp_path / "one"
    file.write_text("cloud.start:after\n")
    assert run(file) == -signal.SIGKILL
    reached, died = tmp_path / "one.reached", tmp_path / "one.died"
    assert reached.read_text().split() == ["cloud.start:before", "cloud.start:after"]
    assert died.read_text().split() == ["cloud.start:after"]
    assert run(file) == 0  # the next one lives
    assert reached.read_text().split()[2:] == ["cloud.start:before", "cloud.start:after", "store.release:before"]


def test_without_the_setting_nothing_stands_between(tmp_path: Path) -> None:
    port = object()
    assert watcher("")("cloud", port) is port
    assert watcher(str(tmp_path / "one"))("cloud", port) is not port


def test_all_names_can_be_listed() -> None:
    assert {"cloud.create_machine:before", "store.move.waking.ready:after", "store.wake:after"} <= {*every_point()}
