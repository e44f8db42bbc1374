"""The pipeline: what one item goes through between the queue and the store."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal

from mozdef_core.errors import InvalidItemError
from mozdef_core.event import Change, Drop, Event, Problem, Refuse, Split, State
from mozdef_core.host import Host, Plugin, contain
from mozdef_core.normalise import EntranceSettings, Normaliser, conform, limit, not_an_object
from mozdef_core.normalise.keys import clean_text
from mozdef_core.ports import DeadLetter, Item, StateDocument

log = logging.getLogger(__name__)

Decoder = Callable[[bytes], object]

_RESERVED: Final = frozenset({"receivedtimestamp", "mozdefhostname", "mozdef"})
_RETENTION: Final = "mozdef.retention"
_SETTABLE: Final = frozenset({_RETENTION})
_CLASS: Final = re.compile(r"[\w-]{1,64}", re.ASCII)  # stores name files and indices by it
_TOGETHER: Final = 250
"""So many items are decoded, then normalised, then mapped and enriched, then limited."""
_DEEPEST: Final = 100
"""Nesting that a sender may have, too; the limits make text of what is deeper than 20."""
_LONGEST_NOTE: Final = 1_024
_LONGEST_CODE: Final = 64
_LONGEST_BITS: Final = 4_096
"""The limits make text of an integer beyond 64 bits; Python writes no integer of more than 4,300 digits."""


@dataclass(slots=True)
class Processed:
    """What became of some items: each is among the events, the dead letters, the states or the drops."""

    events: list[Event] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    states: list[StateDocument] = field(default_factory=list)
    replayed: dict[str, list[str]] = field(default_factory=dict)
    dropped: int = 0


@dataclass(slots=True)
class _Passage:
    """One event on its way through the plugins: as it is now, and what will be signed into it at the end."""

    event: Event
    changed_by: list[str] = field(default_factory=list)
    problems: list[dict[str, str]] = field(default_factory=list)
    supplied: set[str] = field(default_factory=set)
    reran_for: int | None = None

    def branch(self, event: Event) -> _Passage:
        return _Passage(event, [*self.changed_by], [*self.problems], {*self.supplied}, self.reran_for)


class Pipeline:
    """Decodes, normalises, maps, enriches and limits items. It does no I/O of its own and keeps nothing.

    :param decoders: what reads the raw bytes of an item, by the name that its origin carries.
    :param settings: by the name of the entrance; one that is missing has the defaults.
    """

    def __init__(
        self,
        host: Host,
        normaliser: Normaliser,
        decoders: Mapping[str, Decoder],
        settings: Mapping[str, EntranceSettings],
    ) -> None:
        self._host = host
        self._normaliser = normaliser
        self._decoders = decoders
        self._settings = settings
        self._default = EntranceSettings()
        self._mappers = host.table("on_event")
        self._enrichers = host.table("enrich")

    def process(self, items: Sequence[Item]) -> Processed:
        """Take items through the whole pipeline. No item is lost: it never raises for what an item holds.

        Some items take each step together, since the code of a step, once in the processor's cache, stays there.
        """
        done = Processed()
        for start in range(0, len(items), _TOGETHER):
            together = items[start : start + _TOGETHER]
            decoded = [self._decoded(item, done) for item in together]
            read = [
                (
                    item,
                    self._normaliser.normalise(
                        value, item, self._settings.get(item.origin.name, self._default)
                    ),
                )
                for item, value in zip(together, decoded, strict=True)
                if value is not None
            ]
            first = len(done.events)
            for item, event in read:
                events, letters = len(done.events), len(done.dead_letters)
                self._map(_Passage(event), 0, item, done)
                if item.replay_of is not None and len(done.dead_letters) == letters:
                    done.replayed[item.replay_of] = [event.id for event in done.events[events:]]
            done.events[first:] = [limit(event) for event in done.events[first:]]
        return done

    def _decoded(self, item: Item, done: Processed) -> dict[str, Any] | None:
        """Return what an item holds; None where it is no object, and then it is among the dead letters."""
        if item.refusal is not None:
            done.dead_letters.append(dead_letter(item, "parse", *item.refusal))
            return None
        decoder = self._decoders.get(item.origin.decoder)
        if decoder is None:
            reason = f"no enabled input reads {item.origin.decoder!r}; enable it and replay this letter"
            done.dead_letters.append(dead_letter(item, "parse", "no-decoder", reason))
            return None
        decoded, error, _ = contain(decoder, item.raw)
        if isinstance(error, InvalidItemError):
            done.dead_letters.append(dead_letter(item, "parse", error.code, error.reason))
            return None
        if error is not None:
            log.error("the decoder %s failed; the item is a dead letter", item.origin.decoder, exc_info=error)
            reason = f"the decoder {item.origin.decoder} failed: {type(error).__name__}: {error}"
            done.dead_letters.append(dead_letter(item, "parse", "decoder-error", reason))
            return None
        if not isinstance(decoded, dict):
            done.dead_letters.append(dead_letter(item, "parse", *not_an_object(decoded)))
            return None
        return decoded

    def _map(self, passage: _Passage, start: int, item: Item, done: Processed) -> None:
        """Run the ``on_event`` plugins from position ``start`` on, then enrich and finish."""
        table, host = self._mappers, self._host
        index, end = table.next_index(passage.event, start), len(table.plugins)
        while index < end:
            if index == passage.reran_for:  # it asked for those before it once more, and has had its own turn
                index = table.next_index(passage.event, index + 1)
                continue
            plugin = table.plugins[index]
            outcome = host.call(plugin, "on_event", event=passage.event)
            answer = outcome.value
            if outcome.problem is not None:
                passage.problems.append(_problem(plugin, *outcome.problem))
            elif isinstance(answer, Change):
                if self._apply(passage, plugin, answer) and answer.again and passage.reran_for is None:
                    passage.reran_for, index = index, -1
            elif isinstance(answer, Split):
                self._split(passage, plugin, answer, index + 1, item, done)
                return
            elif isinstance(answer, Refuse):
                done.dead_letters.append(
                    dead_letter(item, "map", answer.code, answer.reason, plugin.name, passage.event.id)
                )
                return
            elif isinstance(answer, Drop):
                host.health.dropped(plugin.name, answer.reason)
                done.dropped += 1
                return
            elif isinstance(answer, State):
                document = limit(_finished(passage)).to_dict()
                done.states.append(
                    StateDocument(answer.collection, answer.id, passage.event.time_us, document)
                )
                if not answer.keep_event:
                    return
            index = table.next_index(passage.event, index + 1)
        self._enrich(passage)
        done.events.append(_finished(passage))

    def _split(
        self, passage: _Passage, plugin: Plugin, split: Split, start: int, item: Item, done: Processed
    ) -> None:
        """Go on with each child. A child whose change cannot be applied goes on as its parent was."""
        for ordinal, change in enumerate(split.changes, 1):
            child = passage.branch(Event(f"{passage.event.id}-{ordinal}", passage.event.body))
            self._apply(child, plugin, change)
            self._map(child, start, item, done)

    def _enrich(self, passage: _Passage) -> None:
        table = self._enrichers
        index, end = table.next_index(passage.event, 0), len(table.plugins)
        while index < end:
            plugin = table.plugins[index]
            outcome = self._host.call(plugin, "enrich", event=passage.event)
            if outcome.problem is not None:
                passage.problems.append(_problem(plugin, *outcome.problem))
            elif outcome.value is not None:
                self._apply(passage, plugin, outcome.value)
            index = table.next_index(passage.event, index + 1)

    def _apply(self, passage: _Passage, plugin: Plugin, change: Change) -> bool:
        """Apply a plugin's change if every value may stand in an event; else note why not and leave it."""
        wrong = _objection(change)
        if wrong is None:
            try:
                passage.event = conform(passage.event.with_change(change), change.set)
            except ValueError as error:
                wrong = str(error)
        if wrong is not None:
            passage.problems.append(_problem(plugin, "plugin-error", wrong))
            self._host.health.failed(plugin.name, wrong)
            return False
        if plugin.name not in passage.changed_by:
            passage.changed_by.append(plugin.name)
        passage.supplied.update(change.set)
        for noted in change.problems:
            passage.problems.append(_note(plugin, noted))
        return True


def _objection(change: Change) -> str | None:
    """Return what is wrong with the names or values of a change, None where nothing is."""
    for path in (*change.set, *change.remove):
        wrong = _wrong_name(path) if isinstance(path, str) else f"a field name must be text, not {path!r}"
        if wrong is not None:
            return wrong
    for path, value in change.set.items():
        if value.__class__ is not str and not _is_json(value):
            return f"{path} was given a {type(value).__name__} that JSON cannot hold"
        if path == _RETENTION and not (isinstance(value, str) and _CLASS.fullmatch(value)):
            return f"{path}: expected 1 to 64 of A-Z, a-z, 0-9, '_' and '-', got {value!r:.100}"
    return None


@lru_cache(maxsize=65_536)  # plugins set the same few names in every event
def _wrong_name(path: str) -> str | None:
    """Return why a plugin may not set or remove a name, None where it may."""
    if not path:
        return f"a field name must be text, not {path!r}"
    if path.partition(".")[0] in _RESERVED and path not in _SETTABLE:
        return f"{path} belongs to the system and cannot be set by a plugin"
    return None


def _is_json(value: Any, room: int = _DEEPEST) -> bool:
    """Return whether the limits of event-format.md 5.10 have a form for a value, however long or odd its texts are.

    :param room: how many levels of nesting there may be; with it a list that holds itself comes to an end.
    """
    if value is None or isinstance(value, str):
        return True
    if isinstance(value, int):
        return value.bit_length() <= _LONGEST_BITS
    if isinstance(value, float):
        return math.isfinite(value)
    if not room:
        return False
    if isinstance(value, list):
        return all(_is_json(element, room - 1) for element in value)
    return isinstance(value, dict) and all(
        isinstance(key, str) and _is_json(value[key], room - 1) for key in value
    )


def _problem(plugin: Plugin, code: str, message: str) -> dict[str, str]:
    return {"code": code, "plugin": plugin.name, "message": message}


def _note(plugin: Plugin, noted: str | Problem) -> dict[str, str]:
    """Return what a plugin noted about the event, as ``mozdef.problems`` holds it."""
    if not isinstance(noted, Problem):
        return _problem(plugin, "conversion-failed", clean_text(noted)[:_LONGEST_NOTE])
    note = _problem(plugin, clean_text(noted.code)[:_LONGEST_CODE], clean_text(noted.message)[:_LONGEST_NOTE])
    return {**note, "field": clean_text(noted.field)[:_LONGEST_NOTE]} if noted.field else note


def _finished(passage: _Passage) -> Event:
    """Sign the event: who changed it, who failed, and what is no longer a default."""
    if not passage.changed_by and not passage.problems:
        return passage.event
    body = passage.event.body
    book = dict(body["mozdef"])
    book["plugins"] = [*book["plugins"], *passage.changed_by]
    book["problems"] = [*book["problems"], *passage.problems]
    if not passage.supplied.isdisjoint(("timestamp", "utctimestamp")):
        book["problems"] = [note for note in book["problems"] if note["code"] != "timestamp-missing"]
        passage.supplied.add("timestamp")
    if not passage.supplied.isdisjoint(book["defaulted"]):
        book["defaulted"] = [name for name in book["defaulted"] if name not in passage.supplied]
    return Event(passage.event.id, {**body, "mozdef": book})


def dead_letter(
    item: Item,
    stage: Literal["parse", "normalise", "map", "store"],
    code: str,
    reason: str,
    plugin: str | None = None,
    event_id: str | None = None,
) -> DeadLetter:
    """Return the dead letter of an item; a replay that fails again is the same letter as before.

    An entrance that refuses an item because it is too large hands on its beginning only, so that counts as cut.

    :param event_id: of the event concerned, where the item became several.
    """
    cut = item.refusal is not None and item.refusal[0] == "too-large"
    return DeadLetter(
        id=item.replay_of or event_id or item.id,
        received_us=item.received_us,
        origin=item.origin,
        stage=stage,
        code=code,
        reason=reason,
        raw=item.raw,
        plugin=plugin,
        fields=item.fields,
        sender_id=item.sender_id,
        received_bytes=len(item.raw) if cut else None,
    )
