"""What the Guard makes of its environment."""

import base64

import pytest

from golden.guard.settings import Address, BadSettings, read

KEY = bytes(range(32))
ENCODED = base64.urlsafe_b64encode(KEY).decode()
GOOD = {"FLY_MACHINE_ID": "m", "JARVIS_GUARD_KEYS": f"k1:{ENCODED}"}


def test_a_machine_needs_no_more_than_its_id_and_a_key():
    settings = read(GOOD)
    assert settings.keys == {"k1": KEY}
    assert settings.listen == Address("::", 8080)
    assert settings.command == "python -m golden.app"
    assert settings.routes == {}


def test_everything_can_be_told():
    settings = read(
        GOOD
        | {
            "JARVIS_GUARD_KEYS": f"k1:{ENCODED.rstrip('=')}, k2:{ENCODED}",
            "JARVIS_COMMAND": " exec node server.js ",
            "JARVIS_ROUTES": "/terminal=3001, /a/b/=3002",
            "JARVIS_LISTEN": "127.3.2.1:8080",
            "JARVIS_APP_PORT": "3000",
            "USER_ID": "u",
            "ANTHROPIC_API_KEY": "sk",
        }
    )
    assert list(settings.keys) == ["k1", "k2"]
    assert settings.command == "exec node server.js"
    assert settings.routes == {"/terminal": 3001, "/a/b": 3002}
    assert settings.listen == Address("127.3.2.1", 8080)
    assert settings.app_port == 3000
    assert dict(settings.app_environment) == {"FLY_MACHINE_ID": "m", "USER_ID": "u", "ANTHROPIC_API_KEY": "sk"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLY_MACHINE_ID", ""),
        ("JARVIS_GUARD_KEYS", ""),
        ("JARVIS_GUARD_KEYS", ENCODED),
        ("JARVIS_GUARD_KEYS", f":{ENCODED}"),
        ("JARVIS_GUARD_KEYS", "k1:c2hvcnQ="),
        ("JARVIS_GUARD_KEYS", f"k1:{ENCODED},k1:{ENCODED}"),
        ("JARVIS_ROUTES", "terminal=3001"),
        ("JARVIS_ROUTES", "/terminal"),
        ("JARVIS_ROUTES", "/terminal=70000"),
        ("JARVIS_ROUTES", "/a=1,/a/=2"),
        ("JARVIS_LISTEN", "8080"),
        ("JARVIS_LISTEN", "[::]:http"),
        ("JARVIS_APP_PORT", "-1"),
    ],
)
def test_nonsense_is_named_and_no_secret_told(name, value):
    with pytest.raises(BadSettings) as bad:
        read(GOOD | {name: value})
    assert [problem for problem in bad.value.problems if name in problem]
    assert ENCODED not in str(bad.value)


def test_secrets_do_not_show():
    settings = read(GOOD | {"ANTHROPIC_API_KEY": "sk-secret"})
    assert "sk-secret" not in repr(settings)
    assert repr(KEY) not in repr(settings)
