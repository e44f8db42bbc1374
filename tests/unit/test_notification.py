"""What people are told: headlines, digests, hours, routes, and which tasks go out together."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.alert import Alert, Moment, Occasion, Severity
from mozdef_core.config import read
from mozdef_core.errors import ConfigError
from mozdef_core.event import microseconds
from mozdef_core.notification import CHAT_LIMIT, LISTED, Note, brief, digest, headline
from mozdef_core.notification_hours import DAYS, read_days, read_hours, read_span
from mozdef_core.notification_messages import Message, compose, is_late
from mozdef_core.notification_routes import Router
from mozdef_core.notification_settings import NotifySettings
from mozdef_core.ports import Task

HOUR_US = 3_600_000_000
NOW_US = 1_760_000_000_000_000


def alert(number: int = 1, age_s: float = 0, **fields: Any) -> Alert:
    moment = Moment(NOW_US - int(age_s * 1e6), f"event{number}")
    made = Alert(
        "ssh_bruteforce", fields.pop("summary", f"guess {number}"), moment, moment, id=f"{number:026d}"
    )
    return replace(made, **fields)


def task(number: int, age_s: float = 0, occasion: Occasion = Occasion.RAISED, **fields: Any) -> Task:
    key = f"{number:026d}:1:chat"
    return Task(key, alert(number, age_s), occasion, "chat", fields.pop("attempt", 1), NOW_US, **fields)


class TestTexts:
    def test_a_headline_says_severity_what_happened_and_what_it_is(self) -> None:
        assert headline(alert(summary="guesses by 192.0.2.1")) == "[NOTICE] guesses by 192.0.2.1"
        closed = headline(alert(severity=Severity.ERROR), Occasion.CLOSED)
        assert closed == "[ERROR] closed: guess 1"

    @given(st.text(), st.sampled_from(Occasion))
    def test_a_headline_is_one_line_that_can_be_seen(self, summary: str, occasion: Occasion) -> None:
        line = headline(alert(summary=summary), occasion)
        assert line.isprintable()
        assert line.startswith("[NOTICE]")

    @given(st.text(max_size=3_000), st.integers(0, 500), st.integers(1, 600))
    def test_a_brief_text_is_never_too_long_and_its_link_never_cut(
        self, summary: str, length: int, limit: int
    ) -> None:
        link = "https://siem.example/" + "a" * length
        text = brief(alert(summary=summary), link=link, limit=limit)
        assert len(text) <= limit
        assert text.endswith(f"\n{link}") or len(link) + 1 >= limit

    def test_what_is_cut_says_so(self) -> None:
        text = brief(alert(summary="x" * 3_000), link="https://siem.example/1")
        assert len(text) == CHAT_LIMIT
        assert text.endswith("…\nhttps://siem.example/1")


class TestDigest:
    def test_it_is_an_alert_as_urgent_as_its_most_urgent_and_names_that_first(self) -> None:
        notes = [
            Note(alert(1, severity=Severity.WARNING, tags=("ssh",)), Occasion.RAISED),
            Note(alert(2, severity=Severity.CRITICAL, tags=("ssh", "vpn")), Occasion.CLOSED),
            Note(alert(3, 50, severity=Severity.WARNING, count=5), Occasion.EXTENDED),
        ]
        made = digest(notes, "#sec", "key", NOW_US, late=True)
        assert made.summary == (
            "3 alerts (1 CRITICAL, 2 WARNING), told late: [CRITICAL] closed: guess 2; "
            "[WARNING] more of: guess 3; [WARNING] guess 1"
        )
        assert headline(made) == made.summary
        assert (made.severity, made.channel, made.count) == (Severity.CRITICAL, "#sec", 7)
        assert made.tags == ("ssh", "vpn")
        assert [entry["id"][-1] for entry in made.details["alerts"]] == ["3", "1", "2"]
        assert made.notifies
        assert made.to_dict()["details"]["more"] == 0

    def test_more_than_it_can_list_are_counted(self) -> None:
        notes = [Note(alert(number), Occasion.RAISED) for number in range(LISTED + 7)]
        made = digest(notes, "", "key", NOW_US)
        assert len(made.details["alerts"]) == LISTED
        assert made.details["more"] == 7
        assert len(made.notes) == LISTED + 7
        assert len(made.summary) <= 2_000


class TestHours:
    @pytest.mark.parametrize(
        "text", ["", "8-18", "08:00-08:00", "25:00-26:00", "08:60-09:00", "8:00", "a:bc-d:ef"]
    )
    def test_hours_that_mean_nothing_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="expected hours such as"):
            read_span(text)

    def test_days_go_round_the_end_of_the_week(self) -> None:
        assert read_days("sat-mon") == [5, 6, 0]
        assert read_days(" Tue ") == [1]
        with pytest.raises(ValueError, match="expected days such as"):
            read_days("mon-day")

    @pytest.mark.parametrize("name", ["Mars/Base", "../etc", "", "Europe"])
    def test_a_time_zone_that_does_not_exist_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="expected a time zone"):
            read_hours("", [], name)

    @given(
        start=st.integers(0, 1_439),
        length=st.integers(1, 1_439),
        days=st.sets(st.integers(0, 6), min_size=1),
        moment=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001
        zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]),
    )
    def test_a_span_belongs_to_the_day_on_which_it_begins(
        self, start: int, length: int, days: set[int], moment: datetime, zone: str
    ) -> None:
        end = (start + length) % 1_440
        text = f"{start // 60:02d}:{start % 60:02d}-{end // 60:02d}:{end % 60:02d}"
        hours = read_hours(text, [DAYS[day] for day in days], zone)
        us = microseconds(moment.replace(tzinfo=UTC))
        there = moment.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        began = there - timedelta(minutes=(there.hour * 60 + there.minute - start) % 1_440)
        inside = (there.hour * 60 + there.minute - start) % 1_440 < length
        assert hours.contain(us) == (inside and began.weekday() in days)

    def test_all_day_is_the_default(self) -> None:
        hours = read_hours("", [], "UTC")
        assert all(hours.contain(NOW_US + step * HOUR_US) for step in range(24 * 7))


def router(*routes: dict[str, Any]) -> Router:
    return Router(NotifySettings.model_validate({"routes": routes}), ["chat", "mail"])


class TestRoutes:
    def test_without_routes_every_notifier_gets_what_notifies(self) -> None:
        decide = router().decide
        assert decide("chat", alert(channel="#own"), NOW_US).channel == "#own"
        quiet = decide("chat", alert(severity=Severity.INFO), NOW_US)
        assert quiet == (None, "the alert is not meant to notify anybody")

    def test_for_each_notifier_the_first_route_that_fits_decides(self) -> None:
        decide = router(
            {
                "query": "severity:(CRITICAL OR ERROR) AND tags:ssh",
                "notifiers": ["mail", "chat"],
                "channel": "#now",
            },
            {"query": "tags:ssh", "notifiers": ["chat"]},
        ).decide
        urgent = alert(severity=Severity.ERROR, tags=("ssh",), channel="#own")
        assert decide("chat", urgent, NOW_US).channel == "#now"
        assert decide("mail", urgent, NOW_US).channel == "#now"
        usual = replace(urgent, severity=Severity.WARNING)
        assert decide("chat", usual, NOW_US) == ("#own", "route 2 (tags:ssh)")
        assert decide("mail", usual, NOW_US) == (None, "no route takes it to mail")
        assert decide("chat", alert(), NOW_US).channel is None

    @pytest.mark.parametrize(
        "query",
        [
            'details.sourceipaddress:"192.0.2.0/24"',
            "rule:ssh_*",
            "summary:guess",
            "group.value:192.0.2.1",
            "count:>3",
            "_exists_:details.username",
        ],
    )
    def test_any_field_of_the_alert_can_be_asked_for(self, query: str) -> None:
        details = {"sourceipaddress": "192.0.2.1", "username": "ines"}
        rich = alert(details=details, group=("details.sourceipaddress", "192.0.2.1"), count=4)
        poor = Alert("other", "nothing", Moment(1, "a"), Moment(1, "a"))
        decide = router({"query": query, "notifiers": ["chat"]}).decide
        assert decide("chat", rich, NOW_US).channel == ""
        assert decide("chat", poor, NOW_US).channel is None

    def test_outside_its_hours_a_route_does_not_decide(self) -> None:
        decide = router(
            {"notifiers": ["chat"], "hours": "08:00-18:00", "days": ["mon-fri"], "channel": "#office"},
            {"notifiers": ["chat"], "query": "severity:CRITICAL", "channel": "#night"},
        ).decide
        thursday_us = microseconds(datetime(2025, 10, 9, tzinfo=UTC))
        assert decide("chat", alert(), thursday_us + 9 * HOUR_US).channel == "#office"
        assert decide("chat", alert(), thursday_us + 20 * HOUR_US) == (
            None,
            "no route takes it to chat; route 1 is not within its hours",
        )
        urgent = alert(severity=Severity.CRITICAL)
        assert decide("chat", urgent, thursday_us + 20 * HOUR_US).channel == "#night"
        assert decide("chat", urgent, thursday_us + 57 * HOUR_US).channel == "#night"

    def test_a_route_to_somebody_who_is_not_there_is_refused(self) -> None:
        with pytest.raises(ConfigError) as caught:
            router({"notifiers": ["chat"]}, {"notifiers": ["mial"]})
        assert caught.value.problems == (
            "notify.routes[1].notifiers: no notifier 'mial' is enabled; did you mean 'mail'?",
        )

    def test_what_is_wrong_in_the_file_is_said_with_its_place(self, tmp_path: Any) -> None:
        path = tmp_path / "mozdef.toml"
        path.write_text(
            '[notify]\nweb_url = "siem.example"\nact_withn = 5\n'
            '[[notify.routes]]\nnotifiers = ["chat"]\nquery = "severity:(ERROR"\nhours = "8-18"\n'
            '[[notify.routes]]\nnotifiers = []\ndays = ["monday"]\ntimezone = "Mars"\nchanel = "x"\n'
        )
        problems = "\n".join(read(path, {})[1])
        for expected in (
            "notify.web_url: expected an address such as https://siem.example, got 'siem.example'",
            "notify: unknown key 'act_withn'; did you mean 'act_within'?",
            "notify.routes[0].query: expected a search string",
            "notify.routes[0].hours: expected hours such as",
            "notify.routes[1].notifiers: expected at least 1 items",
            "notify.routes[1].days[0]: expected days such as",
            "notify.routes[1].timezone: expected a time zone",
            "notify.routes[1]: unknown key 'chanel'; did you mean 'channel'?",
        ):
            assert expected in problems

    def test_the_whole_table_is_read(self, tmp_path: Any) -> None:
        path = tmp_path / "mozdef.toml"
        path.write_text(
            '[notify]\nweb_url = "https://siem.example/"\nevery = "5s"\n'
            '[[notify.routes]]\nnotifiers = ["mail"]\nquery = "tags:ssh"\nhours = "22:00-06:00"\n'
            'days = ["mon-fri"]\ntimezone = "Europe/Berlin"\n'
        )
        config, problems = read(path, {"MOZDEF_NOTIFY__ACT_WITHIN": "2h"})
        assert problems == []
        assert config.notify.web_url == "https://siem.example"
        assert (config.notify.every, config.notify.act_within) == (timedelta(seconds=5), timedelta(hours=2))
        assert config.notify.routes[0].timezone == "Europe/Berlin"


def composed(*tasks: Task, channels: tuple[str, ...] = ()) -> list[tuple[str, bool, list[str]]]:
    routed = [(each, channels[place] if place < len(channels) else "") for place, each in enumerate(tasks)]
    return [
        (message.channel, message.late, [each.key[25:26] for each in message.tasks])
        for message in compose(routed, NOW_US, HOUR_US)
    ]


class TestMessages:
    def test_what_is_new_goes_out_together_by_channel(self) -> None:
        assert composed(task(1), task(2), task(3), channels=("", "#b")) == [
            ("", False, ["1", "3"]),
            ("#b", False, ["2"]),
        ]

    def test_what_is_late_goes_out_apart(self) -> None:
        closed = task(4, 4_000, Occasion.CLOSED)
        assert composed(task(1), task(2, 4_000), task(3, 9_000), closed) == [
            ("", False, ["1", "4"]),
            ("", True, ["2", "3"]),
        ]

    def test_only_news_can_be_late(self) -> None:
        old = {occasion: is_late(task(1, 4_000, occasion), NOW_US, HOUR_US) for occasion in Occasion}
        assert {occasion for occasion, late in old.items() if late} == {
            Occasion.RAISED,
            Occasion.EXTENDED,
            Occasion.REPEATED,
        }
        assert not is_late(task(1, 3_600), NOW_US, HOUR_US)

    def test_what_was_tried_together_stays_together_and_comes_first(self) -> None:
        assert composed(
            task(1),
            task(2, together_us=7, attempt=2),
            task(3, 9_000, together_us=5, unsure=True, attempt=2),
            task(4, together_us=7, attempt=2),
            task(5, together_us=5, unsure=True, attempt=2),
        ) == [("", False, ["3", "5"]), ("", False, ["2", "4"]), ("", False, ["1"])]

    def test_what_is_late_and_certainly_not_delivered_joins_the_one_digest(self) -> None:
        assert composed(
            task(1, 9_000),
            task(2, 9_000, together_us=7, attempt=9),
            task(3, 9_000, together_us=8, attempt=9),
            task(4, 9_000, together_us=9, unsure=True, attempt=9),
        ) == [("", True, ["4"]), ("", True, ["1", "2", "3"])]

    @given(st.permutations([task(number) for number in range(1, 7)]))
    def test_the_delivery_depends_on_the_tasks_and_not_on_their_order(self, tasks: list[Task]) -> None:
        expected = Message([task(number) for number in range(1, 7)], "").delivery
        assert Message(tasks, "").delivery == expected
        assert Message(tasks[1:], "").delivery != expected
        assert Message(tasks, "").alert(NOW_US).id == Message(tasks[::-1], "").alert(NOW_US).id

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([0, 9_000]),
                st.sampled_from(["", "#b"]),
                st.sampled_from([None, 5, 7]),
                st.booleans(),
            ),
            max_size=12,
        )
    )
    def test_every_task_is_in_exactly_one_message_of_its_channel(self, drawn: list[Any]) -> None:
        routed = [
            (task(number, age_s, together_us=together_us, unsure=together_us is not None and unsure), channel)
            for number, (age_s, channel, together_us, unsure) in enumerate(drawn)
        ]
        messages = compose(routed, NOW_US, HOUR_US)
        assert sorted(
            (each.key, message.channel) for message in messages for each in message.tasks
        ) == sorted((each.key, channel) for each, channel in routed)
        for message in messages:
            marks = {(each.together_us, each.unsure) for each in message.tasks if each.unsure}
            assert len(marks) <= 1
            assert not marks or all(each.unsure for each in message.tasks)

    def test_one_alert_is_told_as_it_is(self) -> None:
        message = Message([task(1, occasion=Occasion.CLOSED)], "#b")
        assert message.delivery == task(1).key
        assert message.occasion is Occasion.CLOSED
        assert message.alert(NOW_US) == replace(alert(1), channel="#b")
        several = Message([task(1, occasion=Occasion.CLOSED), task(2)], "")
        assert several.occasion is Occasion.RAISED
