## about
adds the team of the user to events
## imports
Change Event
## standard
from collections.abc import Mapping, Set
from typing import ClassVar
## applies_to
"details.username": frozenset({"*"})
## options
        teams: dict[str, str] = Field(default={}, description="the team of each user name")
## settings
teams = {ines = "payments"}
## method
    @hookimpl
    def enrich(self, event: Event) -> Change | None:
        """Set ``details.team`` where the user's team is known."""
        team = self.options.teams.get(event.text("details.username"))
        return Change({"details.team": team}) if team else None
## test imports
Change
## test
TEAMS = {"teams": {"ines": "payments"}}


def test_the_team_of_a_known_user_is_added(make_host, make_event):
    event = make_event("x", details={"username": "ines", "program": "$name"})
    assert make_host(($class, TEAMS)).answer("enrich", event=event) == Change({"details.team": "payments"})


def test_an_unknown_user_is_left_alone(make_host, make_event):
    event = make_event("x", details={"username": "jo", "program": "$name"})
    assert make_host(($class, TEAMS)).answer("enrich", event=event) is None
