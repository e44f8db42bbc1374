from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from mozdef_core.health import Health
from mozdef_core.host import Host
from mozdef_core.normalise import Normaliser
from mozdef_core.options import Options
from mozdef_core.pipeline import Pipeline
from mozdef_core.ports import Input, Intake, Item, Origin
from mozdef_core.services.decoders import CORE, decoder_of, decoders, reserved_names


class LinesOptions(Options):
    mark: str = ""


class Lines(Input[LinesOptions]):
    """Reads its items itself, as its options say."""

    Options = LinesOptions
    kind = "line"
    decoder = "lines"

    def decode(self, raw: bytes) -> Mapping[str, Any]:
        return {"summary": self.options.mark + raw.decode()}

    def run(self, intake: Intake, stop: threading.Event) -> None:
        stop.wait()


class Objects(Lines):
    """Leaves it to the core."""

    decoder = "json"


def inputs_of(**marks: str) -> dict[str, Input[Any]]:
    return {name: Lines(LinesOptions(mark=mark)) for name, mark in marks.items()}


def item(raw: bytes, decoder: str, name: str = "x") -> Item:
    return Item(
        "01900000-0000-7000-8000-000000000001", 1_700_000_000_000_000, Origin(name, "line", decoder), raw
    )


def test_an_item_is_read_by_the_input_that_received_it() -> None:
    inputs = inputs_of(office="o:", plant="p:")
    pipeline = Pipeline(Host([], Health()), Normaliser("node", 1), decoders(inputs), {})
    done = pipeline.process([item(b"a", decoder_of(name, source), name) for name, source in inputs.items()])
    assert [(event.body["mozdef"]["input"]["name"], event.body["summary"]) for event in done.events] == [
        ("office", "o:a"),
        ("plant", "p:a"),
    ]


def test_what_the_core_can_read_is_left_to_it() -> None:
    source = Objects(LinesOptions())
    assert decoder_of("office", source) == "json"
    assert decoders({"office": source}) == dict(CORE)


def test_what_came_in_under_a_name_that_is_gone_is_read_by_the_first_input_of_its_kind() -> None:
    known = decoders(inputs_of(office="o:", plant="p:"))
    assert known["lines"](b"a") == {"summary": "o:a"}
    known = decoders(inputs_of(office="o:", lines="l:"))
    assert known["lines"](b"a") == {"summary": "l:a"}


def test_no_input_can_replace_a_decoder_of_the_core() -> None:
    assert decoders(inputs_of(json="j:"))["json"] is CORE["json"]
    (problem,) = reserved_names(inputs_of(json="j:", office=""))
    assert problem.startswith("input.json: 'json' is the name of a decoder of the core")
    (problem,) = reserved_names(inputs_of(event="e:"))  # or what it receives would be taken for an import
    assert problem.startswith("input.event: 'event' is the name of a decoder of the core")
    assert reserved_names({"json": Objects(LinesOptions())}) == []
