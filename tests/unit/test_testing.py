"""What plugin authors are given: events and hosts as in production, and a contract that catches what it should."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ConfigDict

import mozdef_core.testing
from mozdef_core import Alert, Change, Drop, Event, Field, Moment, Options, Split, hookimpl
from mozdef_core.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


class Good:
    """A plugin that keeps its promises."""

    class Options(Options):
        word: str = Field(default="x", description="what to set")

    applies_to: ClassVar = {"program": {"sshd"}, "tags": {"*"}}

    def __init__(self, options):
        self.options = options
        self.closed = 0

    def close(self):
        self.closed += 1

    @hookimpl
    def on_event(self, event):
        return Change({"details.word": self.options.word})

    @hookimpl
    def enrich(self, event):
        return None


def variant(**members: object) -> type:
    """Return a plugin like the good one but for some members."""
    return type("Variant", (Good,), {"__module__": __name__, "applies_to": {}, **members})


def hook(function):
    return hookimpl(function)


def test_an_event_is_made_as_an_entrance_would(make_event):
    event = make_event(
        "hello",
        severity="warn",
        details={"UserName": "ines"},
        endpoint="zoom",
        received="2026-05-06T00:00:00+00:00",
    )
    assert event.get("summary") == "hello"
    assert event.get("severity") == "WARNING"
    assert event.get("details.username") == "ines"
    assert event.get("mozdef.input.endpoint") == "zoom"
    assert event.get("receivedtimestamp").startswith("2026-05-06T00:00:00")
    assert len(event.id) == 26
    assert make_event({"summary": "a"}).get("summary") == make_event(summary="a").get("summary") == "a"


def test_a_host_is_made_with_options_as_they_would_stand_in_the_configuration(make_host, make_event):
    host = make_host((Good, {"word": "w"}))
    (plugin,) = host.plugins
    assert plugin.name == "good"
    assert host.answer("on_event", event=make_event("x")) == Change({"details.word": "w"})
    with pytest.raises(ConfigError, match=r"plugin.good: unknown option 'wrd'; did you mean 'word'\?"):
        make_host((Good, {"wrd": "w"}))


def test_an_installed_plugin_has_the_name_and_version_of_its_entry_point(make_host, tmp_path, monkeypatch):
    (tmp_path / "mozdef_zzinst.py").write_text(
        "from mozdef_core import hookimpl\nclass Other:\n    def __init__(self, options): ...\n"
        "    @hookimpl\n    def enrich(self, event): ...\n"
    )
    info = tmp_path / "mozdef_zzinst-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mozdef-zzinst\nVersion: 2.5\n")
    (info / "entry_points.txt").write_text("[mozdef.plugins]\nzzinst = mozdef_zzinst:Other\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (plugin,) = make_host(importlib.import_module("mozdef_zzinst").Other).plugins
    assert (plugin.name, plugin.version) == ("zzinst", "2.5")


def test_documents_go_through_the_whole_pipeline(make_host):
    done = make_host(Good).process(
        {"summary": "a", "details": {"program": "sshd"}}, {"summary": "b", "details": {"program": "su"}}
    )
    assert [event.get("details.word") for event in done.events] == ["x", None]
    assert done.events[0].get("mozdef.plugins") == ["good"]


def test_an_error_of_the_plugin_is_raised_by_the_trial(make_host, make_event):
    @hook
    def on_event(self, event):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        make_host(variant(on_event=on_event)).answer("on_event", event=make_event("x"))


def test_a_plugin_that_keeps_its_promises_passes(run_contract, make_event):
    run_contract(Good, {"word": "y"}, [make_event("x", details={"program": "sshd"})])


def changes_in_place(self, event):
    event.body["details"]["seen"] = True


def keeps_something(self, event):
    self.closed += 1
    return Change({"details.count": self.closed})


def fails_on_numbers(self, event):
    return Change({"details.name": event.get("details.username", "").upper()})


def sets_what_json_cannot_hold(self, event):
    return Change({"details.made": {1, 2}})


def splits_into_what_json_cannot_hold(self, event):
    return Split([Change({"details.made": object()})])


def answers_with_a_drop(self, event):
    return Drop("noise")


def finds_something(self, window):
    event = Event(
        "0" * 26,
        {"utctimestamp": "2026-01-01T00:00:00+00:00", "receivedtimestamp": "2026-01-01T00:00:00+00:00"},
    )
    moment = Moment.of(event)
    return [Alert("x", "x", moment, moment)]


class Undescribed(Options):
    word: str = "x"


class Lenient(Options):
    model_config = ConfigDict(extra="ignore")


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({"on_event": hook(changes_in_place)}, "on_event changed the event in place"),
        ({"on_event": hook(keeps_something)}, "on_event must keep nothing between events"),
        ({"on_event": hook(fails_on_numbers)}, "on_event failed with"),
        ({"on_event": hook(sets_what_json_cannot_hold)}, "on_event set a value that JSON cannot hold"),
        ({"on_event": hook(splits_into_what_json_cannot_hold)}, "on_event set a value that JSON cannot hold"),
        ({"enrich": hook(answers_with_a_drop)}, "enrich failed with"),
        ({"enrich": hook(changes_in_place)}, "enrich changed the event in place"),
        ({"alert_match": hook(finds_something)}, "found something where nothing happened"),
        ({"Options": Undescribed}, "the option 'word' needs a description"),
        ({"Options": Lenient}, "an unknown option must be refused"),
        ({"Options": dict}, "Options must subclass"),
    ],
)
def test_a_plugin_that_breaks_a_promise_is_told_which(run_contract, members, complaint):
    with pytest.raises(AssertionError, match=complaint):
        run_contract(variant(**members))


def test_odd_events_reach_a_plugin_that_applies_to_few(run_contract):
    for wanted in (
        {"program": {"sshd"}},
        {"category": {"bro"}},
        {"endpoint": {"zoom"}},
        {"tags": {"a"}},
        {"details.q": {"*"}},
    ):
        with pytest.raises(AssertionError, match="changed the event in place"):
            run_contract(variant(on_event=hook(changes_in_place), applies_to=wanted))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("from mozdef_core.event import Event", "mozdef_core.event"),
        ("import mozdef_core.host", "mozdef_core.host"),
        ("from mozdef_core import host", "host"),
        ("from mozdef_core import Event", None),
    ],
)
def test_a_package_may_import_only_what_is_promised(run_contract, tmp_path, monkeypatch, line, complaint):
    package = tmp_path / "mozdef_zzpack"
    package.mkdir()
    (package / "__init__.py").write_text(
        f"{line}\nfrom mozdef_core import hookimpl\nclass Pack:\n    def __init__(self, options): ...\n"
        "    @hookimpl\n    def enrich(self, event): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mozdef_zzpack", raising=False)
    cls = importlib.import_module("mozdef_zzpack").Pack
    with pytest.raises(AssertionError, match=r"needs an empty file py\.typed"):
        run_contract(cls)
    (package / "py.typed").touch()
    if complaint is None:
        run_contract(cls)
        return
    with pytest.raises(AssertionError, match=rf"{complaint}.* is not in mozdef_core.__all__"):
        run_contract(cls)


@pytest.mark.parametrize("name", ["EventStoreContract", "QueueContract", "AlertBookContract"])
def test_the_contracts_of_the_ports_can_be_imported_from_here(name):
    assert getattr(mozdef_core.testing, name).__name__ == name


def test_a_contract_that_does_not_exist_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'NoContract'"):
        mozdef_core.testing.NoContract  # noqa: B018


def test_loading_the_pytest_plugin_imports_nothing_of_the_core():
    code = "import sys, mozdef_core.testing; print([m for m in sys.modules if m.startswith('mozdef_core.testing_')])"
    heavy = "print([m for m in ('stevedore', 'sqlalchemy', 'tantivy', 'regex') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{heavy}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n[]\n"
