"""The golden image, as far as it can be judged without building it."""

import re
import stat
import subprocess

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
    assert [line for line in instructions("COPY") if not line.startswith("golden")] == []


def test_the_locks_agree():
    """What the tests run with is what Machines run with."""
    pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)", LOCK, re.MULTILINE))
    product = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert pins.items() <= product.items()
