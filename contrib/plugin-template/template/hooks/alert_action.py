## about
adds the address of the run-book to alerts
## imports
Alert AlertChange Occasion
## standard
from typing import ClassVar, Literal
## attributes
    stage: ClassVar[Literal["enrich"]] = "enrich"
## options
        runbooks: str = Field(default="", description="where run-books are; the rule's name is put after it")
## settings
runbooks = "https://wiki.example/runbooks/"
## method
    @hookimpl
    def alert_action(self, alert: Alert, occasion: Occasion) -> AlertChange | None:
        """Add ``details.runbook`` to an alert that was just raised."""
        if occasion is not Occasion.RAISED or not self.options.runbooks:
            return None
        return AlertChange({"runbook": self.options.runbooks + alert.rule})
## test imports
Alert AlertChange Moment Occasion
## test
ALERT = Alert("ssh_root_login", "root logged in", Moment(1, "a"), Moment(1, "a"))
RUNBOOKS = {"runbooks": "https://wiki.example/"}


def test_an_alert_gets_its_runbook_when_it_is_raised(make_host):
    host = make_host(($class, RUNBOOKS))
    change = host.answer("alert_action", alert=ALERT, occasion=Occasion.RAISED)
    assert change == AlertChange({"runbook": "https://wiki.example/ssh_root_login"})
    assert host.answer("alert_action", alert=ALERT, occasion=Occasion.CLOSED) is None


def test_without_an_address_alerts_are_left_alone(make_host):
    assert make_host($class).answer("alert_action", alert=ALERT, occasion=Occasion.RAISED) is None
