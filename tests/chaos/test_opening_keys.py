"""Keys of what is received before anybody orders."""

from __future__ import annotations

from chaos.opening_keys import opening_key
from refsystem.ordering.order import parse_key


def test_an_opening_key_is_the_same_again_and_cannot_be_computed_without_the_secret() -> None:
    key = opening_key(b"one", "s1", "fish")
    assert parse_key(key) == key == opening_key(b"one", "s1", "fish")
    others = {opening_key(b"two", "s1", "fish"), opening_key(b"one", "s2", "fish"), opening_key(b"one", "s1", "tofu")}
    assert len(others | {key}) == 4
