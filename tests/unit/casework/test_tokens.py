from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mozdef_core.casework import audit, tokens
from mozdef_core.casework.database import Database
from mozdef_core.errors import NotFoundError

INES = audit.Actor("ines")
YEAR = timedelta(days=365)


def create(
    database: Database,
    label: str = "shipper",
    scopes: tuple[str, ...] = ("events:write",),
    lasts: timedelta = YEAR,
) -> tuple[tokens.Token, str]:
    with database.write() as session:
        return tokens.create(session, label=label, owner="ines", scopes=scopes, lasts=lasts, actor=INES)


def verified(database: Database, secret: str, scope: str = "events:write") -> tokens.Token | None:
    with database.read() as session:
        return tokens.verify(session, secret, scope)


def test_a_token_opens_what_its_scopes_say_and_nothing_else(database: Database) -> None:
    token, secret = create(database)
    assert verified(database, secret) == token
    assert verified(database, secret, "admin") is None
    assert verified(database, secret + "x") is None
    assert verified(database, "") is None


@pytest.mark.parametrize(
    ("given", "reads", "writes"),
    [
        ("lists", True, True),
        ("lists:write", True, True),
        ("lists:read", True, False),
        ("events:read", False, False),
    ],
)
def test_who_may_write_lists_may_read_them_and_nobody_the_other_way_round(
    database: Database, given: str, reads: bool, writes: bool
) -> None:
    _, secret = create(database, scopes=(given,))
    assert (verified(database, secret, "lists:read") is not None) is reads
    assert (verified(database, secret, "lists:write") is not None) is writes
    assert verified(database, secret, "lists") is None or given == "lists"
    assert verified(database, secret, "exceptions:read") is None


def test_the_secret_is_kept_nowhere(database: Database, url: str) -> None:
    _, secret = create(database)
    database.close()
    folder = Path(url.removeprefix("sqlite:///")).parent
    kept = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert b"shipper" in kept
    assert secret.encode() not in kept
    assert secret.removeprefix(tokens.PREFIX).encode() not in kept


def test_a_token_ends_when_it_expires(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    token, secret = create(database, lasts=timedelta(days=1))
    monkeypatch.setattr(tokens, "now_us", lambda: token.expires_us - 1)
    assert verified(database, secret) is not None
    monkeypatch.setattr(tokens, "now_us", lambda: token.expires_us)
    assert verified(database, secret) is None


def test_a_revoked_token_is_refused_and_stays_listed(database: Database) -> None:
    token, secret = create(database)
    with database.write() as session:
        tokens.revoke(session, "shipper", INES)
        tokens.revoke(session, token.id, INES)
    assert verified(database, secret) is None
    with database.read() as session:
        (listed,) = tokens.collect(session)
        actions = [entry.action for entry in audit.entries(session, "token", token.id)]
    assert listed.revoked_us is not None
    assert actions == ["created", "revoked"]
    with pytest.raises(NotFoundError), database.write() as session:
        tokens.revoke(session, "other", INES)


def test_use_is_written_at_most_once_a_minute(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    token, secret = create(database)
    for at_us, expected_us in ((1_000, 1_000), (60_001_000, 1_000), (60_001_001, 60_001_001)):
        monkeypatch.setattr(tokens, "now_us", lambda at_us=at_us: at_us)
        with database.write() as session:
            tokens.note_use(session, token.id)
        found = verified(database, secret)
        assert found is not None
        assert found.used_us == expected_us


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lasts": timedelta(days=400)}, "at most a year"),
        ({"lasts": timedelta(0)}, "at most a year"),
        ({"scopes": ()}, "got none"),
        ({"scopes": ("events:write", "root")}, "got root"),
        ({"label": ""}, "label: expected"),
        ({"label": "taken"}, "there is a token 'taken' already"),
    ],
)
def test_a_wrong_token_is_refused_with_what_would_be_right(
    database: Database, wrong: dict[str, object], message: str
) -> None:
    create(database, "taken")
    with pytest.raises(ValueError, match=message):
        create(database, **wrong)  # type: ignore[arg-type]
