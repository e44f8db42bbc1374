## about
reads the user name from lines of $name
## imports
Change Event
## standard
from collections.abc import Mapping, Set
from typing import ClassVar
## applies_to
"program": frozenset({"$name"})
## options
        key: str = Field(default="user", min_length=1, description="the word before the equals sign")
## settings
key = "user"
## method
    @hookimpl
    def on_event(self, event: Event) -> Change | None:
        """Set ``details.username`` from the first ``user=...`` of the summary."""
        mark = f"{self.options.key}="
        for word in event.text("summary").split():
            if word.startswith(mark) and word != mark:
                return Change({"details.username": word.removeprefix(mark)})
        return None
## test imports
Change
## test
def test_the_user_name_is_read(make_host, make_event):
    event = make_event("accepted user=ines from 192.0.2.1", details={"program": "$name"})
    assert make_host($class).answer("on_event", event=event) == Change({"details.username": "ines"})


def test_the_word_can_be_chosen(make_host, make_event):
    host = make_host(($class, {"key": "login"}))
    event = make_event("login=ines user=root", details={"program": "$name"})
    assert host.answer("on_event", event=event) == Change({"details.username": "ines"})


def test_a_line_without_a_user_is_left_alone(make_host, make_event):
    event = make_event("accepted user= from 192.0.2.1", details={"program": "$name"})
    assert make_host($class).answer("on_event", event=event) is None


def test_another_programs_events_do_not_concern_it(make_host, make_event):
    table = make_host($class).table("on_event")
    assert table.next_index(make_event("user=ines", details={"program": "other"}), 0) == len(table.plugins)
