"""Settings: everything from one mapping, every problem at once, no secret shown."""

from base64 import urlsafe_b64encode

import pytest

from gateway.listen import host_and_port
from gateway.settings import BadSettings, read_settings

KEY = urlsafe_b64encode(b"k" * 32).decode()
GOOD = {
    "PUBLIC_URL": "https://my-jarvis.app",
    "SUPABASE_URL": "https://ref.supabase.co",
    "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_secretish",
    "DATABASE_URL": "postgresql://gateway:hunter2@db/postgres",
    "GATEWAY_MASTER_KEYS": f"k2:{KEY},k1:{KEY}",
    "ADMIN_TOKEN": "an-admin-token-of-enough-length",
    "MACHINES_API_TOKEN": "fm2_machines",
    "MACHINES_APP_NAME": "jarvis-machines",
    "GOLDEN_IMAGE": "registry/jarvis@sha256:00",
}


def test_good_settings() -> None:
    settings = read_settings({**GOOD, "SUSPEND_AFTER_S": "60", "PATH": "/bin", "SUPABASE_SECRET_KEY": ""})
    assert settings.suspend_after_s == 60
    assert list(settings.gateway_master_keys) == ["k2", "k1"]
    assert settings.supabase_secret_key is None  # set to nothing is not set


def test_on_fly_the_machines_names_win_over_flys_own() -> None:
    settings = read_settings({**GOOD, "FLY_APP_NAME": "the-gateway", "FLY_REGION": "ams", "FLY_API_TOKEN": "other"})
    assert (settings.fly_app_name, settings.fly_region) == ("jarvis-machines", "ams")
    assert settings.fly_api_token.get_secret_value() == "fm2_machines"


def test_every_problem_is_told_at_once_and_no_value() -> None:
    bad = {**GOOD, "ADMIN_TOKEN": "hunter2", "PUBLIC_URL": "my-jarvis.app/x", "HOLD_S": "soon"}
    del bad["GOLDEN_IMAGE"], bad["DATABASE_URL"]
    with pytest.raises(BadSettings) as told:
        read_settings(bad)
    lines = str(told.value).splitlines()
    named = {line.partition(":")[0] for line in lines}
    assert named == {"ADMIN_TOKEN", "PUBLIC_URL", "HOLD_S", "GOLDEN_IMAGE", "DATABASE_URL"}
    assert "hunter2" not in str(told.value)


def test_secrets_are_not_shown() -> None:
    shown = repr(read_settings(GOOD)) + str(read_settings(GOOD))
    for secret in ("hunter2", "secretish", "an-admin-token", "fm2_machines", "kkkk"):
        assert secret not in shown


@pytest.mark.parametrize("keys", ["", "k1", "k1:short", f"k1:{KEY},k2:x", f":{KEY}"])
def test_bad_master_keys(keys: str) -> None:
    with pytest.raises(BadSettings, match="GATEWAY_MASTER_KEYS"):
        read_settings({**GOOD, "GATEWAY_MASTER_KEYS": keys})


def test_host_and_port() -> None:
    assert host_and_port("[::]:8080") == ("::", 8080)
    assert host_and_port("127.0.0.1:0") == ("127.0.0.1", 0)


def test_failpoints_are_refused_in_earnest() -> None:
    """Nobody's production can be made to kill itself by a variable that was left over."""
    armed = {**GOOD, "FAILPOINTS": "/tmp/points", "GATEWAY_ENV": "chaos", "MACHINES_API_URL": "http://127.0.0.1:4280"}
    assert read_settings(armed).failpoints == "/tmp/points"
    for change in ({"GATEWAY_ENV": "production"}, {"GATEWAY_ENV": ""}, {"MACHINES_API_URL": ""}):
        with pytest.raises(BadSettings, match="FAILPOINTS"):
            read_settings({**armed, **change})
