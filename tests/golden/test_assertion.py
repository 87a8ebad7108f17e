"""The Guard's lock: only a short-lived word of the gateway, for this Machine, opens."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golden.guard import assertion
from golden.guard.assertion import Claims, verify
from tests.parts.assertion import EMAIL, KEY, KEYS, MACHINE, USER, b64, claims, token

NOW = 1_800_000_000


def body(**changes: object) -> dict[str, object]:
    return claims(iat=NOW, exp=NOW + 300) | changes


def test_a_good_assertion_says_who_asks():
    assert verify(token(body()), KEYS, MACHINE, NOW) == Claims(USER, EMAIL, NOW, NOW + 300)


def test_every_key_of_a_rotation_opens():
    keys = {"k1": KEY, "k2": b"2" * 32}
    for kid, key in keys.items():
        assert verify(token(body(), key=key, kid=kid), keys, MACHINE, NOW).user_id == USER


@pytest.mark.parametrize("late", [0, 300, 360])
def test_the_gateways_clock_may_be_a_minute_off(late):
    assert verify(token(body()), KEYS, MACHINE, NOW + late).user_id == USER
    assert verify(token(body()), KEYS, MACHINE, NOW - 60).user_id == USER


BAD = {
    "expired": (token(body()), assertion.Expired, NOW + 361),
    "from the future": (token(body()), assertion.IssuedLater, NOW - 61),
    "another machine": (token(body(aud="148ed726c12358")), assertion.WrongMachine, NOW),
    "several machines": (token(body(aud=[MACHINE])), assertion.WrongMachine, NOW),
    "no machine": (token({k: v for k, v in body().items() if k != "aud"}), assertion.WrongMachine, NOW),
    "unknown key": (token(body(), kid="k9"), assertion.UnknownKey, NOW),
    "no key id": (token(body(), kid=None), assertion.UnknownKey, NOW),
    "key id of another type": (token(body(), kid=["k1"]), assertion.UnknownKey, NOW),
    "another key": (token(body(), key=b"x" * 32), assertion.WrongSignature, NOW),
    "no signature": (token(body()).rpartition(".")[0] + ".", assertion.WrongSignature, NOW),
    "alg none": (token(body(), alg="none"), assertion.WrongAlgorithm, NOW),
    "alg None": (token(body(), alg=None), assertion.WrongAlgorithm, NOW),
    "alg HS512": (token(body(), alg="HS512"), assertion.WrongAlgorithm, NOW),
    "alg hs256": (token(body(), alg="hs256"), assertion.WrongAlgorithm, NOW),
    "typ at+jwt": (token(body(), typ="at+jwt"), assertion.WrongAlgorithm, NOW),
    "critical extension": (token(body(), crit=["b64"]), assertion.WrongAlgorithm, NOW),
    "key in the header": (token(body(), jwk={"k": "x"}), assertion.WrongAlgorithm, NOW),
    "too long a life": (token(body(exp=NOW + 301)), assertion.WrongClaims, NOW),
    "no life": (token(body(exp=NOW)), assertion.WrongClaims, NOW),
    "backwards": (token(body(exp=NOW - 1)), assertion.WrongClaims, NOW),
    "exp as text": (token(body(exp=str(NOW + 300))), assertion.WrongClaims, NOW),
    "exp as float": (token(body(exp=NOW + 300.0)), assertion.WrongClaims, NOW),
    "iat true": (token(body(iat=True, exp=200)), assertion.WrongClaims, 100),
    "exp endless": (token(json.dumps(body(exp=1)).replace(": 1}", ": Infinity}").encode()), assertion.Refused, NOW),
    "no sub": (token({k: v for k, v in body().items() if k != "sub"}), assertion.WrongClaims, NOW),
    "sub empty": (token(body(sub="")), assertion.WrongClaims, NOW),
    "sub a number": (token(body(sub=7)), assertion.WrongClaims, NOW),
    "sub with a line break": (token(body(sub="a\r\nX-Jarvis-User: b")), assertion.WrongClaims, NOW),
    "email with a line break": (token(body(email="a@b\nc")), assertion.WrongClaims, NOW),
    "email endless": (token(body(email="a" * 321)), assertion.WrongClaims, NOW),
    "actor no object": (token(body(act="operator")), assertion.WrongClaims, NOW),
    "actor without a name": (token(body(act={})), assertion.WrongClaims, NOW),
    "actor with a line break": (token(body(act={"sub": "a\r\nX-Jarvis-User: b"})), assertion.WrongClaims, NOW),
    "claim twice": (token(json.dumps(body()).replace("{", '{"sub": "eve", ', 1).encode()), assertion.NotAToken, NOW),
    "claims a list": (token(b"[]"), assertion.NotAToken, NOW),
    "claims not JSON": (token(b"\xff{"), assertion.NotAToken, NOW),
    "deeply nested": (token(b"[" * 2000), assertion.NotAToken, NOW),
    "empty": ("", assertion.NotAToken, NOW),
    "two parts": ("a.b", assertion.NotAToken, NOW),
    "four parts": (token(body()) + ".x", assertion.NotAToken, NOW),
    "padded": (token(body()) + "=", assertion.NotAToken, NOW),
    "spaces": (" " + token(body()), assertion.NotAToken, NOW),
    "not ASCII": ("ä.ö.ü", assertion.NotAToken, NOW),
    "too large": (token(body(extra="x" * 4096)), assertion.NotAToken, NOW),
}


@pytest.mark.parametrize(("bad", "error", "now"), BAD.values(), ids=BAD)
def test_anything_else_is_refused_for_its_own_reason(bad, error, now):
    with pytest.raises(error):
        verify(bad, KEYS, MACHINE, now)


def test_who_really_asks_is_told():
    """An operator on a visit is not the user, and not hidden."""
    assert verify(token(body(act={"sub": "sam"})), KEYS, MACHINE, NOW).operator == "sam"
    assert verify(token(body()), KEYS, MACHINE, NOW).operator == ""


@given(st.data())
def test_no_change_of_a_single_character_survives(data):
    """Also not one that means the same: a token has one spelling."""
    good = token(body())
    at = data.draw(st.integers(0, len(good) - 1))
    other = data.draw(st.characters().filter(lambda c: c != good[at]))
    with pytest.raises(assertion.Refused):
        verify(good[:at] + other + good[at + 1 :], KEYS, MACHINE, NOW)


@given(st.text() | st.lists(st.binary().map(b64), min_size=3, max_size=3).map(".".join))
def test_rubbish_is_refused_and_never_breaks_anything(text):
    with pytest.raises(assertion.Refused):
        verify(text, KEYS, MACHINE, NOW)


def test_a_refusal_says_nothing_about_the_token():
    for bad, error, now in BAD.values():
        with pytest.raises(error) as refused:
            verify(bad, KEYS, MACHINE, now)
        assert len(str(refused.value)) < 60
        assert USER not in str(refused.value)
