## about
raises an alert for each refusal of $name
## imports
Alert Match Moment Severity Term Window
## standard
from collections.abc import Iterator
## options
        severity: Severity = Field(default=Severity.WARNING, description="severity of the alerts")
## settings
severity = "WARNING"
## method
    @hookimpl
    def alert_match(self, window: Window) -> Iterator[Alert]:
        """Raise one alert for each event of the program whose summary has the word "refused"."""
        for event in window.search(Term("details.program", "$name") & Match("summary", "refused")):
            moment = Moment.of(event)
            yield Alert(
                rule="$name",
                summary=f"{event.text('hostname', 'unknown')}: {event.text('summary')}",
                first=moment,
                last=moment,
                severity=self.options.severity,
                events=(event,),
            )
## test imports
Severity Window
## test standard
from collections.abc import Iterator

from mozdef_core import Event, Query
## test
class OneEvent(Window):
    """A window in which one event happened, and matched."""

    def __init__(self, event: Event) -> None:
        super().__init__(0, 1)
        self.event = event

    def search(self, query: Query) -> Iterator[Event]:
        return iter([self.event])

    def __iter__(self) -> Iterator[Event]:
        return iter([self.event])


def test_a_refusal_raises_an_alert(make_host, make_event):
    event = make_event("refused user=ines", hostname="web1", details={"program": "$name"})
    (alert,) = make_host(($class, {"severity": "ERROR"})).answer("alert_match", window=OneEvent(event))
    assert alert.summary == "web1: refused user=ines"
    assert alert.severity is Severity.ERROR
    assert alert.events == (event,)
