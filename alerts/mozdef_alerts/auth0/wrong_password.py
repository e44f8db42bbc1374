"""The condition of the rules that count wrong passwords at Auth0."""

from __future__ import annotations

from mozdef_core import Exists, Query, Term


def wrong_password() -> Query:
    """Return the condition that somebody gave a wrong password for a user: Auth0's log type ``fp``."""
    return (
        Term("tags", "auth0")
        & Term("details.eventname", "Failed Login (wrong password)")
        & Exists("details.username")
        & ~Term("details.username", "")
    )
