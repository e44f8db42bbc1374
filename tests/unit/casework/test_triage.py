from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.alert import Status
from mozdef_core.casework import alerts, audit, triage
from mozdef_core.casework.audit import Actor
from mozdef_core.casework.book import SqlBook
from mozdef_core.casework.transitions import REASONED, TARGETS, VERDICTS, Step, check
from mozdef_core.errors import NotFoundError, TransitionError
from mozdef_core.ports import BatchRecord
from mozdef_core.testing_contracts.book_alerts import Clock, event_at, finding

INES, ANSWER = Actor("ines"), Actor("ask_user", "plugin")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(url: str, clock: Clock) -> Iterator[SqlBook]:
    opened = SqlBook(url, clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def alert_id(book: SqlBook) -> str:
    return book.record(BatchRecord(alerts=[finding(event_at(0), group_s=60)]))[0].id


def move(book: SqlBook, alert_id: str, step: Step, actor: Actor = INES, at_us: int = 5) -> alerts.Sheet:
    with book.database.write() as session:
        triage.set_status(session, alert_id, step, actor, at_us)
    with book.database.read() as session:
        return alerts.show(session, alert_id)


@given(
    st.sampled_from(Status),
    st.builds(
        Step,
        st.sampled_from(Status),
        comment=st.sampled_from(["", " ", "why"]),
        verdict=st.sampled_from([None, *VERDICTS, "odd"]),
        verdict_reason=st.sampled_from([None, "because"]),
    ),
    st.sampled_from(["user", "token", "plugin", "system"]),
    st.booleans(),
)
def test_no_step_leaves_the_table_or_passes_without_its_condition(
    start: Status, step: Step, kind: str, linked: bool
) -> None:
    verdict, reason = step.verdict, step.verdict_reason
    meets = (
        step.to in TARGETS[start]
        and (verdict is None or verdict in VERDICTS)
        and (verdict not in REASONED or reason is not None)
        and (step.to is not Status.CLOSED or verdict is not None)
        and (step.to is not Status.ESCALATED or linked or kind in ("plugin", "system"))
        and ((start, step.to) != (Status.ESCALATED, Status.ACKNOWLEDGED) or not linked)
        and (start is not Status.CLOSED or step.comment == "why")
    )
    asked = partial(check, start, step, kind=kind, verdict=verdict, verdict_reason=reason, linked=linked)  # type: ignore[arg-type]
    if meets:
        asked()
    else:
        with pytest.raises(TransitionError) as caught:
            asked()
        assert caught.value.allowed == tuple(TARGETS[start])


def test_the_table_is_that_of_the_specification() -> None:
    new, working, seen = Status.MANUAL, Status.IN_PROGRESS, Status.ACKNOWLEDGED
    escalated, closed = Status.ESCALATED, Status.CLOSED
    assert {(start, target) for start, targets in TARGETS.items() for target in targets} == {
        (new, working),
        (new, seen),
        (working, seen),
        (new, escalated),
        (working, escalated),
        (seen, escalated),
        (working, new),
        (seen, new),
        (new, closed),
        (working, closed),
        (seen, closed),
        (escalated, closed),
        (escalated, seen),
        (closed, new),
    }


def test_acknowledging_is_signed_and_can_be_undone(book: SqlBook, alert_id: str) -> None:
    sheet = move(book, alert_id, Step(Status.ACKNOWLEDGED))
    assert (sheet.alert.acknowledged_us, sheet.alert.acknowledged_by) == (5, "ines")
    sheet = move(book, alert_id, Step(Status.MANUAL))
    assert (sheet.alert.acknowledged_us, sheet.alert.acknowledged_by) == (None, None)


def test_taking_an_alert_up_assigns_it_to_whoever_does(book: SqlBook, alert_id: str) -> None:
    assert move(book, alert_id, Step(Status.IN_PROGRESS)).alert.assignee == "ines"
    assert move(book, alert_id, Step(Status.MANUAL)).alert.assignee == "ines"
    move(book, alert_id, Step(Status.IN_PROGRESS), Actor("otto"))
    assert move(book, alert_id, Step(Status.MANUAL, unassign=True)).alert.assignee is None


def test_a_question_to_a_user_assigns_nobody(book: SqlBook, alert_id: str) -> None:
    assert move(book, alert_id, Step(Status.IN_PROGRESS), ANSWER).alert.assignee is None


def test_escalating_links_the_case_and_acknowledges(book: SqlBook, alert_id: str) -> None:
    with pytest.raises(TransitionError, match="needs a case"):
        move(book, alert_id, Step(Status.ESCALATED))
    sheet = move(book, alert_id, Step(Status.ESCALATED, case="incident-7"))
    assert (sheet.links, sheet.alert.acknowledged_by) == (("incident-7",), "ines")
    with pytest.raises(TransitionError, match="unlinked"):
        move(book, alert_id, Step(Status.ACKNOWLEDGED))
    sheet = move(book, alert_id, Step(Status.ACKNOWLEDGED, unlink=True), Actor("otto"))
    assert (sheet.links, sheet.alert.status) == ((), Status.ACKNOWLEDGED)
    assert sheet.alert.acknowledged_by == "ines"


def test_opening_a_closed_alert_keeps_the_verdict_in_its_history(book: SqlBook, alert_id: str) -> None:
    move(book, alert_id, Step(Status.CLOSED, verdict="false_positive", verdict_reason="a test"))
    with pytest.raises(TransitionError, match="comment"):
        move(book, alert_id, Step(Status.MANUAL))
    sheet = move(book, alert_id, Step(Status.MANUAL, comment="it was none"))
    assert (sheet.alert.verdict, sheet.verdict_reason) == (None, None)
    assert [comment.text for comment in sheet.comments] == ["it was none"]
    assert ("verdict", "false_positive", None) in [
        (each.field, each.before, each.after) for each in sheet.history
    ]


def test_a_reopened_alert_is_extended_again(book: SqlBook, alert_id: str) -> None:
    move(book, alert_id, Step(Status.CLOSED, verdict="benign"))
    move(book, alert_id, Step(Status.MANUAL, comment="again"))
    (extended,) = book.record(BatchRecord(alerts=[finding(event_at(9), group_s=60)]))
    assert extended.id == alert_id


def test_an_extended_alert_returns_to_the_list_until_somebody_has_seen_it(
    book: SqlBook, alert_id: str
) -> None:
    def waiting() -> list[int]:
        with book.database.read() as session:
            return [line.news for line in alerts.search(session, alerts.Filter(waiting=True)).lines]

    assert waiting() == [0]
    move(book, alert_id, Step(Status.ACKNOWLEDGED))
    assert waiting() == []
    book.record(BatchRecord(alerts=[finding(event_at(9), group_s=60), finding(event_at(12), group_s=60)]))
    assert waiting() == [2]
    move(book, alert_id, Step(Status.ACKNOWLEDGED))
    assert waiting() == []
    with pytest.raises(TransitionError, match="it can: manual, escalated, closed"):
        move(book, alert_id, Step(Status.ACKNOWLEDGED))


def test_a_refused_step_changes_nothing(book: SqlBook, alert_id: str) -> None:
    with book.database.read() as session:
        before = alerts.show(session, alert_id)
    with pytest.raises(TransitionError):
        move(book, alert_id, Step(Status.CLOSED, comment="enough"))
    with book.database.read() as session:
        assert alerts.show(session, alert_id) == before


def test_comments_and_assignments_are_audited(book: SqlBook, alert_id: str) -> None:
    with book.database.write() as session:
        triage.comment(session, alert_id, " looks bad ", INES)
        triage.assign(session, alert_id, "otto", INES)
    with book.database.read() as session:
        sheet = alerts.show(session, alert_id)
        assert audit.verify(session) is None
    assert sheet.alert.assignee == "otto"
    assert [(entry.actor, entry.field, entry.after) for entry in sheet.history[1:]] == [
        ("ines", "comments", "looks bad"),
        ("ines", "assignee", "otto"),
    ]


def test_what_is_not_there_is_said_so(book: SqlBook) -> None:
    for act in (lambda s: triage.assign(s, "x", None, INES), lambda s: alerts.show(s, "x")):
        with pytest.raises(NotFoundError, match="no alert 'x'"), book.database.write() as session:
            act(session)


def test_the_list_filters_and_pages_newest_first(book: SqlBook, clock: Clock) -> None:
    for number in range(5):
        clock.pass_by(1)
        tags = ("ssh", "odd") if number == 3 else ("ssh",)
        found = finding(event_at(number), rule=f"r{number % 2}", tags=tags, summary=f"100% of_{number} Über")
        book.record(BatchRecord(alerts=[found]))

    def summaries(**wanted: object) -> list[str]:
        with book.database.read() as session:
            page = alerts.search(session, alerts.Filter(**wanted))  # type: ignore[arg-type]
            return [line.alert.summary[8] for line in page.lines]

    assert summaries() == ["4", "3", "2", "1", "0"]
    assert summaries(rule="r1") == ["3", "1"]
    assert summaries(tag="odd") == ["3"]
    assert summaries(text="OF_2") == ["2"]
    assert summaries(text="of%2") == []
    assert summaries(severity=["CRITICAL"]) == []
    assert summaries(status=[Status.MANUAL], since_us=clock.us) == ["4"]
    assert summaries(until_us=clock.us - 2_000_000) == ["1", "0"]
    seen: list[str] = []
    after = None
    while True:
        with book.database.read() as session:
            page = alerts.search(session, alerts.Filter(size=2, after=after))
        seen.extend(line.alert.id for line in page.lines)
        if (after := page.after) is None:
            break
    assert len(seen) == len(set(seen)) == 5
