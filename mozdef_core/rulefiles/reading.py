"""Reading rule files: each gives a rule, or says with its line what is wrong with it; no file keeps another from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from mozdef_core.errors import QueryError
from mozdef_core.problems import describe, suggestion
from mozdef_core.query.model import Query, Search
from mozdef_core.rulefiles.classes import OfFile, class_of, deadman_class, generic_class
from mozdef_core.rulefiles.document import Document, DocumentError, Place, read_document
from mozdef_core.rulefiles.forms import (
    FORMS,
    Condition,
    DeadmanListForm,
    GenericForm,
    Kibana,
    SequenceForm,
)
from mozdef_core.rules import Rule

ENDINGS: Final = (".yaml", ".yml", ".json")
"""What the names of rule files end in."""

_LONGEST: Final = 100
_BARRED: Final = frozenset("*?[]:/\\")
_EXAMPLES: Final = ".examples"


@dataclass(frozen=True, slots=True)
class RuleFile:
    """A rule file, as it was read.

    :param name: of its rule.
    :param kind: as in ``kind``; ``aggregation`` and ``deadman`` for the classical forms; empty where it is not known.
    :param cls: the class of its rule; None when there are problems.
    :param problems: what is wrong, with file and line.
    :param enabled: what the file says of itself.
    :param examples: as they stand in the file, unchecked.
    :param used: other files that it is made of.
    """

    path: Path
    name: str
    kind: str = ""
    cls: type[Rule[Any]] | None = field(default=None, repr=False)
    problems: Sequence[str] = ()
    enabled: bool = True
    examples: Mapping[str, Any] | None = field(default=None, repr=False)
    used: Sequence[Path] = ()


class _WrongError(Exception):
    """What is wrong with a file."""

    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__()
        self.problems = tuple(problems)


def rule_paths(folder: Path) -> Sequence[Path]:
    """Return the rule files of a folder, by name; examples and hidden files are none.

    :raises OSError: the folder cannot be read.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix in ENDINGS
        and not path.name.startswith(".")
        and not path.stem.endswith(_EXAMPLES)
        and path.is_file()
    )


def read_rule(path: Path) -> RuleFile:
    """Read one rule file; whatever it holds, nothing is raised."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return RuleFile(path, path.stem, problems=[f"{path}: cannot be read: {error.strerror or error}"])
    return read_content(path, content)


def read_content(path: Path, content: bytes) -> RuleFile:
    """Return the rule that a file's content makes.

    :param path: of the file, which need not exist; files that it names lie beside it.
    """
    try:
        document = read_document(path, content)
    except DocumentError as error:
        return RuleFile(path, path.stem, problems=[f"{path}:{error.line}: {error}"])
    reader = _Reader(path, content, document)
    try:
        found = reader.read()
    except _WrongError as wrong:
        name = _name_in(path, document)
        return RuleFile(path, name, problems=wrong.problems, used=reader.used)
    if found.cls is not None and issubclass(found.cls, OfFile):
        found.cls.stands_in, found.cls.examples = path, found.examples
    bad = _bad_name(found.name.rpartition(":")[2])
    return (
        replace(found, cls=None, problems=[f"{path}:{document.line(('name',))}: name: {bad}"])
        if bad
        else found
    )


def _name_in(path: Path, document: Document) -> str:
    """Return the name of a rule whose file is wrong, as far as it can be told."""
    value = document.value
    if isinstance(value, dict) and "kind" not in value:
        for key, prefix in (("search_string", "generic:"), ("alerts", "deadman:")):
            if key in value:
                return f"{prefix}{path.stem}"
    name = value.get("name") if isinstance(value, dict) and "kind" in value else None
    return name if isinstance(name, str) and name else path.stem


def _bad_name(name: str) -> str | None:
    if not name or len(name) > _LONGEST or any(sign in _BARRED or not sign.isprintable() for sign in name):
        barred = " ".join(sorted(_BARRED))
        return f"expected 1 to {_LONGEST} characters and none of {barred}, got {name[:_LONGEST]!r}"
    return None


class _Details(NamedTuple):
    """Some of the problems that pydantic found."""

    details: Sequence[Any]

    def errors(self, *, include_url: bool) -> Sequence[Any]:
        """Return them."""
        return self.details


class _Reader:
    """Reads one document."""

    def __init__(self, path: Path, content: bytes, document: Document) -> None:
        self.path = path
        self.document = document
        self.used: list[Path] = []
        self._hash = hashlib.blake2b(content, digest_size=8)

    def read(self) -> RuleFile:
        value = self.document.value
        if not isinstance(value, dict):
            raise _WrongError([self._at((), "expected keys and values, such as 'kind: event'")])
        stem = self.path.stem
        if "kind" in value:
            return self._own(value)
        if "search_string" in value:
            generic = self._checked(GenericForm, value)
            cls = self._query((), lambda: generic_class(generic, f"generic:{stem}", self._version()))
            name = f"generic:{stem}"
            return RuleFile(
                self.path, name, "aggregation", cls, enabled=generic.enabled, examples=generic.tests
            )
        if "alerts" in value:
            silent = self._checked(DeadmanListForm, value)
            name = f"deadman:{stem}"
            cls = deadman_class(silent, name, self._version())
            return RuleFile(self.path, name, "deadman", cls, enabled=silent.enabled)
        what = "expected 'kind' (or, in the classical forms, 'search_string' or 'alerts'), got none of them"
        raise _WrongError([self._at((), what)])

    def _own(self, value: Mapping[str, Any]) -> RuleFile:
        kind = value["kind"]
        model = FORMS.get(kind) if isinstance(kind, str) else None
        if model is None:
            hint = suggestion(str(kind), FORMS)
            raise _WrongError([self._at(("kind",), f"kind: unknown kind {kind!r}{hint}")])
        form = self._checked(model, value)
        name = form.name or self.path.stem
        saved: list[Query | None] = []
        if isinstance(form, SequenceForm):
            saved = [self._kibana(step, ("steps", number)) for number, step in enumerate(form.steps)]
        elif isinstance(form, Condition):
            saved = [self._kibana(form, ())]
        cls = self._query((), lambda: class_of(form, name, self._version(), saved))
        return RuleFile(
            self.path, name, str(kind), cls, enabled=form.enabled, examples=form.examples, used=self.used
        )

    def _version(self) -> str:
        return self._hash.hexdigest()

    def _checked(self, model: Any, value: Mapping[str, Any]) -> Any:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise _WrongError(self._described(model, error)) from None

    def _described(self, model: type[BaseModel], error: ValidationError) -> Iterable[str]:
        """Yield each problem with its line; what the branches of a union say of one value is one problem."""
        several: dict[Place, list[Any]] = {}
        for detail in error.errors(include_url=False):
            alone = detail["type"] in ("extra_forbidden", "missing")
            place = detail["loc"] if alone else self.document.known(detail["loc"])
            several.setdefault(place, []).append(detail)
        for place, details in several.items():
            for sentence in describe(_Details(details), model, "", "key"):
                yield self._at(place, sentence)

    def _query(self, place: Place, make: Any) -> Any:
        try:
            return make()
        except (QueryError, ValueError) as error:
            raise _WrongError([self._at(place, str(error))]) from None

    def _kibana(self, condition: Condition, place: Place) -> Query | None:
        saved: Kibana | None = condition.kibana
        if saved is None:
            return None
        path = self.path.parent / saved.file
        place = (*place, "kibana")
        if path.resolve().parent != self.path.parent.resolve():
            raise _WrongError(
                [self._at(place, f"kibana: expected a file beside this one, got {saved.file!r}")]
            )
        self.used.append(path)
        try:
            content = path.read_bytes()
            search = Search.from_kibana(content, saved.title)
        except (OSError, UnicodeDecodeError) as error:
            raise _WrongError([self._at(place, f"kibana: {path.name} cannot be read: {error}")]) from None
        except QueryError as error:
            raise _WrongError([self._at(place, f"kibana: {path.name}: {error}")]) from None
        self._hash.update(content)
        return search.query

    def _at(self, place: Place, sentence: str) -> str:
        return f"{self.path}:{self.document.line(place)}: {sentence}"
