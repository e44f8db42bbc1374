"""The watch list: terms that people want to be told of wherever they occur in an event (detections.md C3)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast, get_args

from mozdef_core.errors import QueryError
from mozdef_core.event import Event
from mozdef_core.query import evaluate
from mozdef_core.query.lists import NO_LISTS, Lists, resolve
from mozdef_core.query.members import Network, TextMembers, read_network
from mozdef_core.query.model import TEXT_FIELDS, QueryString
from mozdef_core.query.text import contains_phrase, remembered_tokens
from mozdef_core.query.values import fold

WatchKind: TypeAlias = Literal["ip", "network", "domain", "text", "query"]
KINDS: Final[Sequence[str]] = get_args(WatchKind)
LEAST: Final = 2
"""A watched text has at least so many characters."""

_DOMAIN: Final = re.compile(r"(?:[\w-]{1,63}\.)+[^\W\d_](?:[\w-]{0,61}\w)", re.UNICODE)
_NAMES: Final = re.compile(r"[\w-]+(?:\.[\w-]+)+")
_ADDRESSES: Final = re.compile(r"(?<![\w])[0-9a-fA-F:.]++(?![\w])")
_UNSEARCHED: Final = frozenset({"mozdef", "receivedtimestamp", "utctimestamp", "timestamp"})


class WatchEntry(NamedTuple):
    """A term that is watched for.

    :param content: in canonical form, as :func:`canonical` returns it.
    :param subdomains: of a domain: whether what lies below it counts as well.
    :param expires_us: it counts for what is received before, microseconds since 1970; None is for ever.
    """

    id: str
    content: str
    kind: WatchKind
    subdomains: bool = False
    expires_us: int | None = None

    @classmethod
    def of(cls, entry_id: str, content: str, kind: str = "", *, subdomains: bool = False) -> WatchEntry:
        """Return an entry that does not expire.

        :param kind: empty for what the content looks like.
        :raises ValueError: it cannot be watched for; with what would be right.
        """
        chosen = kind or kind_of(content)
        return cls(entry_id, canonical(content, chosen), as_kind(chosen), subdomains)


def kind_of(content: str) -> WatchKind:
    """Return what a term looks like: an address, a network, a domain, or else a text; a query is never guessed."""
    try:
        network = read_network(content.strip())
    except QueryError:
        return "domain" if _DOMAIN.fullmatch(content.strip().rstrip(".")) else "text"
    return "ip" if network.length == network.width and "/" not in content else "network"


def canonical(content: str, kind: str) -> str:
    """Return a term in the form in which it is kept.

    :raises ValueError: it is none of that kind; with what would be right.
    """
    text = content.strip()
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    if len(text) < LEAST:
        raise ValueError(f"watchcontent: expected at least {LEAST} characters, got {text!r}")
    try:
        if kind in ("ip", "network"):
            return str(read_network(text))
        if kind == "query":
            evaluate.compile(resolve(QueryString(text), _AnyList()))
    except QueryError as error:
        raise ValueError(f"watchcontent: {error}") from None
    if kind == "domain":
        text = fold(text.rstrip("."))
        if not _DOMAIN.fullmatch(text):
            raise ValueError(f"watchcontent: expected a host name such as drop.example, got {content!r}")
    return text


class WatchList:
    """All entries there are, for the rules of a process; threads share it.

    :param lists: what ``field:@name`` in entries of kind ``query`` means.
    """

    def __init__(self, lists: Lists = NO_LISTS) -> None:
        self._lists = lists
        self._lists_version = lists.version
        self._entries: Sequence[WatchEntry] = ()
        self._finder = Finder((), lists)
        self._lock = threading.Lock()
        self._hits: dict[str, tuple[int, int]] = {}

    def replace(self, entries: Iterable[WatchEntry]) -> None:
        """Watch for these from now on, and for no others."""
        found = tuple(entries)
        self._finder, self._entries = Finder(found, self._lists), found

    @property
    def problems(self) -> Mapping[str, str]:
        """Why an entry cannot be looked for, by its id, such as a list that was deleted."""
        return self._finder.problems

    def find(self, event: Event) -> Sequence[WatchEntry]:
        """Return the entries that occur in an event and had not expired when it was received, each once."""
        if self._lists.version != self._lists_version:
            self._lists_version = self._lists.version
            self.replace(self._entries)
        received_us = event.received_us
        found = self._finder.find(event)
        return [one for one in found if one.expires_us is None or received_us < one.expires_us]

    def hit(self, entry: WatchEntry, at_us: int) -> None:
        """Count that an entry was met by an event received at a time."""
        with self._lock:
            number, last_us = self._hits.get(entry.id, (0, 0))
            self._hits[entry.id] = (number + 1, max(last_us, at_us))

    def take(self) -> Mapping[str, tuple[int, int]]:
        """Return what was counted since the last call by id of the entry: how often it was met, and when last."""
        with self._lock:
            taken, self._hits = self._hits, {}
        return taken

    def give_back(self, hits: Mapping[str, tuple[int, int]]) -> None:
        """Keep what :meth:`take` returned and nobody could write down."""
        with self._lock:
            for entry_id, (number, last_us) in hits.items():
                known, known_us = self._hits.get(entry_id, (0, 0))
                self._hits[entry_id] = (known + number, max(known_us, last_us))


class Finder:
    """Finds entries in events: an event costs look-ups for its words, however many entries there are.

    Entries of kind ``query`` are asked one by one.
    """

    def __init__(self, entries: Sequence[WatchEntry], lists: Lists = NO_LISTS) -> None:
        self.problems: dict[str, str] = {}
        self._domains: dict[str, list[WatchEntry]] = {}
        self._networks: dict[tuple[int, int], dict[int, list[WatchEntry]]] = {}
        self._texts: dict[str, list[WatchEntry]] = {}
        self._phrases: dict[str, list[tuple[tuple[str, ...], WatchEntry]]] = {}
        self._queries: list[tuple[Callable[[Event], bool], WatchEntry]] = []
        for entry in entries:
            try:
                self._file(entry, lists)
            except QueryError as error:
                self.problems[entry.id] = f"{entry.content!r}: {error}"

    def _file(self, entry: WatchEntry, lists: Lists) -> None:
        if entry.kind == "query":
            self._queries.append((evaluate.compile(resolve(QueryString(entry.content), lists)), entry))
        elif entry.kind == "domain":
            self._domains.setdefault(entry.content, []).append(entry)
        elif entry.kind == "text":
            self._texts.setdefault(fold(entry.content), []).append(entry)
            if words := remembered_tokens(entry.content):
                self._phrases.setdefault(words[0], []).append((words, entry))
        else:
            network = read_network(entry.content)
            table = self._networks.setdefault((network.width, network.length), {})
            table.setdefault(network.bits, []).append(entry)

    def find(self, event: Event) -> Sequence[WatchEntry]:
        """Return the entries that occur in an event, each once."""
        found: dict[str, WatchEntry] = {}
        if self._domains or self._networks or self._texts:
            for name, text in _strings(event.body):
                for entry in self._in_string(text, analysed=name in TEXT_FIELDS):
                    found[entry.id] = entry
        found.update((entry.id, entry) for test, entry in self._queries if test(event))
        return list(found.values())

    def _in_string(self, text: str, *, analysed: bool) -> Iterator[WatchEntry]:
        if self._texts:
            yield from self._phrases_in(text) if analysed else self._texts.get(fold(text), ())
        if "." in text or ":" in text:
            if self._domains:
                for name in _names(text):
                    yield from self._above(name)
            if self._networks:
                for network in _addresses(text):
                    yield from self._holding(network)

    def _phrases_in(self, text: str) -> Iterator[WatchEntry]:
        words = remembered_tokens(text)
        for word in dict.fromkeys(words):
            for phrase, entry in self._phrases.get(word, ()):
                if contains_phrase(words, phrase):
                    yield entry

    def _above(self, name: str) -> Iterator[WatchEntry]:
        """Yield the entries that a name is, or lies below if they say that it may."""
        yield from self._domains.get(name, ())
        while (cut := name.find(".")) >= 0:
            name = name[cut + 1 :]
            yield from (entry for entry in self._domains.get(name, ()) if entry.subdomains)

    def _holding(self, address: Network) -> Iterator[WatchEntry]:
        for (width, length), table in self._networks.items():
            if width == address.width:
                yield from table.get(address.bits >> (width - length), ())


class _AnyList:
    """Lists for a look at whether a query has a meaning: every list is there, and empty."""

    version = 0

    def members(self, name: str) -> TextMembers:
        """Return a list without members."""
        return TextMembers(())

    def names(self) -> Sequence[str]:
        """Return nothing."""
        return ()


def _strings(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield every string of an event with the name of its outermost field, but for times and what MozDef says."""
    for name, value in body.items():
        if name not in _UNSEARCHED:
            for text in _texts(value):
                yield name, text


def _texts(node: Any) -> Iterator[str]:
    waiting = [node]
    while waiting:
        present = waiting.pop()
        if isinstance(present, str):
            yield present
        elif isinstance(present, Mapping):
            waiting.extend(present.values())
        elif isinstance(present, list | tuple):
            waiting.extend(present)


@lru_cache(maxsize=4_096)
def _names(text: str) -> tuple[str, ...]:
    """Return what looks like names of hosts in a text, without case; texts come again and again."""
    return tuple(name.strip("-") for name in _NAMES.findall(fold(text)))


@lru_cache(maxsize=4_096)
def _addresses(text: str) -> tuple[Network, ...]:
    """Return the addresses in a text."""
    return tuple(network for candidate in _ADDRESSES.findall(text) for network in _read(candidate))


def _read(candidate: str) -> Iterator[Network]:
    """Yield the address that a piece of text is; where it is none, those left and right of a colon, as of a port."""
    for text in dict.fromkeys((candidate, candidate.strip(".:"))):
        if text.count(".") != 3 and text.count(":") < 2:
            continue
        try:
            yield read_network(text)
        except QueryError:
            continue
        return
    if "." in candidate and ":" in candidate:
        for part in candidate.split(":"):
            if part.count(".") == 3:
                yield from _read(part)


def as_kind(kind: str) -> WatchKind:
    """Return a kind that is known to be one."""
    return cast(WatchKind, kind)
