"""Accounts: an unknown name must cost as much as a wrong password."""

from __future__ import annotations

import argon2

from bridge.store import people


def test_what_unknown_names_are_compared_with_costs_what_a_password_costs() -> None:
    today = argon2.extract_parameters(argon2.PasswordHasher().hash("a password of today"))
    assert argon2.extract_parameters(people._NOBODY) == today
