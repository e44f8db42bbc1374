"""API tokens: made once, shown once, kept as a hash (investigate.md section 1)."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from mozdef_core.casework import audit
from mozdef_core.casework.models import TokenRow
from mozdef_core.errors import NotFoundError
from mozdef_core.event import now_us

SCOPES: Final = (
    *("events:write", "events:read", "alerts", "cases", "alertstatus", "admin"),
    *("lists", "lists:read", "lists:write", "exceptions:read", "exceptions:write"),
)
COVERED: Final = {
    "lists:read": ("lists", "lists:write"),
    "lists:write": ("lists",),
    "exceptions:read": ("exceptions:write",),
}
"""What else a token may have in place of a scope: who may write may read, and ``lists`` is both."""

LONGEST: Final = timedelta(days=366)
PREFIX: Final = "mozdef_"
_USED_US: Final = 60_000_000
_LABEL: Final = re.compile(r"[\w.@-][\w .@-]{0,127}")


class Token(NamedTuple):
    """A token without its secret; times in microseconds since 1970."""

    id: str
    label: str
    owner: str
    scopes: Sequence[str]
    created_us: int
    expires_us: int
    revoked_us: int | None
    used_us: int | None

    def valid(self, at_us: int) -> bool:
        """Return whether it may be used at a time."""
        return self.revoked_us is None and at_us < self.expires_us


def create(
    session: Session,
    *,
    label: str,
    owner: str,
    scopes: Collection[str],
    lasts: timedelta,
    actor: audit.Actor,
) -> tuple[Token, str]:
    """Make a token and return it with its secret, which is kept nowhere and cannot be shown again.

    :raises ValueError: a wrong label, scope or life time; the sentence says what would be right.
    """
    if _LABEL.fullmatch(label) is None:
        raise ValueError(f"label: expected 1 to 128 letters, digits, blanks or _.@-, got {label!r}")
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise ValueError(f"scope: expected some of {', '.join(SCOPES)}, got {', '.join(unknown) or 'none'}")
    if not timedelta(0) < lasts <= LONGEST:
        raise ValueError(f"expires: expected at most a year, such as '90d', got {lasts}")
    if session.scalar(select(TokenRow.id).where(TokenRow.label == label)) is not None:
        raise ValueError(f"label: there is a token {label!r} already")
    secret = PREFIX + secrets.token_urlsafe(32)
    now = now_us()
    row = TokenRow(
        id=secrets.token_hex(6),
        digest=_digest(secret),
        label=label,
        owner=owner,
        scopes=sorted(scopes),
        created_us=now,
        expires_us=now + lasts // timedelta(microseconds=1),
        revoked_us=None,
        used_us=None,
    )
    session.add(row)
    session.flush()
    audit.append(session, actor, audit.Change("created", "token", row.id, "scopes", None, row.scopes), now)
    return _token(row), secret


def find(session: Session, secret: str) -> Token | None:
    """Return the valid token with this secret, whatever it may do; None when there is none.

    Nothing secret is compared bit by bit: the look-up is by the secret's hash.
    """
    row = session.scalar(select(TokenRow).where(TokenRow.digest == _digest(secret)))
    token = None if row is None else _token(row)
    return token if token is not None and token.valid(now_us()) else None


def verify(session: Session, secret: str, scope: str) -> Token | None:
    """Return the valid token with this secret if it has the scope; None otherwise."""
    token = find(session, secret)
    enough = {scope, *COVERED.get(scope, ())}
    return token if token is not None and enough & set(token.scopes) else None


def use_is_due(token: Token) -> bool:
    """Return whether a use of the token is worth a transaction: the last one written down is a minute old."""
    return token.used_us is None or now_us() - token.used_us > _USED_US


def note_use(session: Session, token_id: str) -> None:
    """Write down that a token was used, at most once a minute."""
    row = session.get(TokenRow, token_id)
    if row is not None and use_is_due(_token(row)):
        row.used_us = now_us()


def collect(session: Session) -> Sequence[Token]:
    """Return all tokens, newest first."""
    return [_token(row) for row in session.scalars(select(TokenRow).order_by(TokenRow.created_us.desc()))]


def revoke(session: Session, id_or_label: str, actor: audit.Actor) -> Token:
    """End a token for good.

    :raises NotFoundError: there is none of this id or label.
    """
    wanted = (TokenRow.id == id_or_label) | (TokenRow.label == id_or_label)
    row = session.scalar(select(TokenRow).where(wanted))
    if row is None:
        raise NotFoundError(f"there is no token {id_or_label!r}")
    if row.revoked_us is None:
        row.revoked_us = now_us()
        audit.append(session, actor, audit.Change("revoked", "token", row.id), row.revoked_us)
    return _token(row)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _token(row: TokenRow) -> Token:
    return Token(
        row.id,
        row.label,
        row.owner,
        tuple(row.scopes),
        row.created_us,
        row.expires_us,
        row.revoked_us,
        row.used_us,
    )
