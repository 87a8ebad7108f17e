"""Secrets at rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session.vault import Unsealable, Vault, derive

OLD, NEW = b"o" * 32, b"n" * 32


@given(st.binary(max_size=500), st.binary(max_size=40))
def test_what_was_sealed_opens_for_the_same_subject_only(secret: bytes, about: bytes) -> None:
    vault = Vault({"k1": OLD}, purpose="test")
    sealed = vault.seal(secret, about=about)
    assert vault.open(sealed, about=about) == secret
    with pytest.raises(Unsealable):
        vault.open(sealed, about=about + b"x")


def test_rotation_seals_with_the_new_key_and_opens_with_both() -> None:
    """k1 → k2,k1 → k2: nothing is lost until the old key is retired."""
    sealed = Vault({"k1": OLD}, purpose="test").seal(b"token", about=b"row")
    both = Vault({"k2": NEW, "k1": OLD}, purpose="test")
    assert both.open(sealed, about=b"row") == b"token"
    assert both.seal(b"token", about=b"row").startswith(b"k2.")
    with pytest.raises(Unsealable):
        Vault({"k2": NEW}, purpose="test").open(sealed, about=b"row")


def test_another_key_under_the_same_id_does_not_open() -> None:
    sealed = Vault({"k1": OLD}, purpose="test").seal(b"token", about=b"row")
    with pytest.raises(Unsealable):
        Vault({"k1": NEW}, purpose="test").open(sealed, about=b"row")


def test_each_purpose_has_its_own_keys() -> None:
    """A sealed cookie put into the token column opens nothing, and the other way round."""
    sealed = Vault({"k1": OLD}, purpose="flow-cookie").seal(b"x", about=b"")
    with pytest.raises(Unsealable):
        Vault({"k1": OLD}, purpose="session-tokens").open(sealed, about=b"")
    assert derive(OLD, "a") != derive(OLD, "b") != OLD


def test_sealing_twice_never_looks_the_same() -> None:
    vault = Vault({"k1": OLD}, purpose="test")
    assert vault.seal(b"x", about=b"") != vault.seal(b"x", about=b"")


@given(st.binary(max_size=80))
def test_no_bytes_break_the_vault(junk: bytes) -> None:
    for sealed in (junk, b"k1." + junk):
        with pytest.raises(Unsealable):
            Vault({"k1": OLD}, purpose="test").open(sealed, about=b"")


@pytest.mark.parametrize("keys", [{}, {"k1": b"short"}, {"": OLD}, {"a.b": OLD}, {"k" * 33: OLD}])
def test_unusable_keys_are_refused_at_the_start(keys: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="master"):
        Vault(keys, purpose="test")
