"""State documents: the newest of each collection and id (mappers.md section 10)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from mozdef_core.casework.database import upsert
from mozdef_core.casework.models import StateRow
from mozdef_core.ports import StateDocument


def replace(session: Session, documents: Sequence[StateDocument]) -> None:
    """Keep documents, each in place of its predecessor unless that one is newer."""
    rows = [
        {
            "collection": document.collection,
            "id": document.id,
            "time_us": document.time_us,
            "document": dict(document.document),
        }
        for document in documents
    ]
    upsert(session, StateRow, rows, replace=["time_us", "document"], unless_newer="time_us")


def read(session: Session, collection: str, document_id: str) -> StateDocument | None:
    """Return one document, or None."""
    row = session.get(StateRow, (collection, document_id))
    return StateDocument(row.collection, row.id, row.time_us, row.document) if row else None


def collect(session: Session, collection: str) -> Sequence[StateDocument]:
    """Return all documents of a collection, by id."""
    query = select(StateRow).where(StateRow.collection == collection).order_by(StateRow.id)
    return [
        StateDocument(row.collection, row.id, row.time_us, row.document) for row in session.scalars(query)
    ]
