"""The folders of rule files: what they hold now, read again only where it has changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from mozdef_core.rulefiles import RuleFile, read_rule, rule_paths

_GONE: Final = (0, 0, 0)

Signature = tuple[int, int, int]


class _Read(NamedTuple):
    """A file, and what it was like when it was read."""

    file: RuleFile
    signatures: Sequence[Signature]


class RuleFolders:
    """Reads the rule files of some folders, in the order of the folders.

    :ivar problems: of the folders themselves, as of the last time they were read.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._known: dict[Path, _Read] = {}
        self.problems: Sequence[str] = ()

    def fingerprint(self) -> object:
        """Return what is another one when a file has come, gone or changed."""
        paths, problems = self._paths()
        used = [path for path in paths if path in self._known for path in self._known[path].file.used]
        return [(path, signature(path)) for path in (*paths, *used)], problems

    def read(self) -> Sequence[RuleFile]:
        """Return all rule files."""
        paths, self.problems = self._paths()
        known, self._known = self._known, {}
        for path in paths:
            before = known.get(path)
            if before is None or before.signatures != _signatures(before.file):
                now = signature(path)  # taken before it is read: a change meanwhile is seen the next time
                file = read_rule(path)
                before = _Read(file, [now, *map(signature, file.used)])
            self._known[path] = before
        return [each.file for each in self._known.values()]

    def _paths(self) -> tuple[list[Path], list[str]]:
        found: list[Path] = []
        problems: list[str] = []
        for folder in self._folders:
            try:
                found.extend(rule_paths(folder))
            except OSError as error:
                problems.append(f"alerts.folders: {folder} cannot be read: {error.strerror or error}")
        return found, problems


def signature(path: Path) -> Signature:
    """Return what tells a file from what it was before, without reading it."""
    try:
        status = path.stat()
    except OSError:
        return _GONE
    return status.st_mtime_ns, status.st_size, status.st_ino


def _signatures(file: RuleFile) -> list[Signature]:
    return [signature(file.path), *map(signature, file.used)]
