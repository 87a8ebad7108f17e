"""The golden image, as far as it can be judged without building it."""

import re
import stat
import subprocess
import sys
from pathlib import Path

from tests.golden.conftest import ROOT

DOCKERFILE = (ROOT / "golden" / "Dockerfile").read_text()
LOCK = (ROOT / "golden" / "requirements.lock").read_text()


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name}\s+(.*)$", DOCKERFILE, re.MULTILINE)


def test_the_base_is_pinned():
    (base,) = instructions("FROM")
    assert re.fullmatch(r"python:3\.13\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)


def test_the_guard_gets_the_signal():
    """A shell in front would swallow it and the App would be cut off."""
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert instructions("CMD") == ['["python", "-m", "golden.guard"]']
    assert instructions("ENTRYPOINT") == ['["/opt/jarvis/golden/entrypoint"]']
    entrypoint = ROOT / "golden" / "entrypoint"
    assert entrypoint.stat().st_mode & stat.S_IXUSR
    subprocess.run(["/bin/sh", "-n", entrypoint], check=True)


def test_everything_installed_is_pinned_by_hash_and_names_no_host():
    requirements = re.split(r"\n(?=\w)", LOCK.strip())
    assert requirements
    for requirement in requirements:
        assert re.match(r"[\w.-]+==[\w.]+ (; [^\\]+)?\\\n +--hash=sha256:[0-9a-f]{64}", requirement), requirement[:80]
    assert "://" not in LOCK
    assert "--require-hashes" in DOCKERFILE


def test_no_secret_is_baked_in():
    assert not re.search(r"(?i)(key|token|secret|password)\s*=", DOCKERFILE)
    assert {source.split("/")[0] for line in instructions("COPY") for source in line.split()[:-1]} == {
        "golden",
        "gateway",
        "provisioner",
    }


def test_it_holds_all_that_the_guard_imports_and_no_room_more():
    """The engine of the gateway's proxy and the words that it uses; no settings, no sessions, no adapters."""
    script = (
        "import golden.guard.__main__, sys; print(*(m.__file__ for m in sys.modules.values() if '__file__' in vars(m)))"
    )
    told = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    rooms = [ROOT / room for room in ("golden", "gateway", "provisioner")]
    needed = {
        str(path.relative_to(ROOT)) for path in map(Path, told.stdout.split()) if any(map(path.is_relative_to, rooms))
    }
    assert "gateway/proxy/engine.py" in needed
    copied = {source for line in instructions("COPY") for source in line.split()[:-1]}
    let_in = (ROOT / "golden" / "Dockerfile.dockerignore").read_text().splitlines()
    for path in needed:
        assert any(path == source or path.startswith(source + "/") for source in copied), path
        assert any(path == line[1:] or path.startswith(line[1:] + "/") for line in let_in if line[0] == "!"), path
    assert copied <= {"golden", "golden/requirements.lock", "gateway/proxy"} | needed


def test_the_locks_agree():
    """What the tests run with is what Machines run with."""
    pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)", LOCK, re.MULTILINE))
    product = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert pins.items() <= product.items()
