"""The shape: what audisp-json makes of a group of records, and what has to be put right (mappers.md section 5)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Final

from mozdef_auditd.records import Group, Record, command_line
from mozdef_auditd.syscalls import category_of

_UNSET: Final = 4_294_967_295
_NOTHING: Final = frozenset({"", "(null)", "?"})
_RENAMED: Final = {
    "acct": "username",
    "cmd": "command",
    "comm": "processname",
    "exe": "process",
    "hostname": "remotehost",
    "key": "auditkey",
    "res": "success",
    "terminal": "tty",
}
_TRUTH: Final = {"yes": True, "success": True, "1": True, "no": False, "failed": False, "0": False}
_OF_A_PATH: Final = frozenset({"dev", "inode", "mode", "nametype", "ogid", "ouid", "rdev"})
_PARTS: Final = {"EXECVE": 1, "CWD": 1, "PATH": 1, "PROCTITLE": 2}
"""Records that belong to one of another type, and which of them come first where two say the same."""
_REASONS: Final = (
    "ANOM_",
    "AVC",
    "CONFIG_CHANGE",
    "CRYPTO_",
    "INTEGRITY_",
    "MAC_",
    "NETFILTER_",
    "SECCOMP",
    "USER_",
)
"""Types that say more of an event than the system call beside them does."""


class Shaped:
    """A group of records as one event.

    :ivar category: what was done: ``execve``, ``write``, or the type of the record in small letters.
    :ivar details: by name below ``details``; all are text but ``success``, as audisp-json sends them.
    :ivar summary: None where the records hold text that no field has.
    """

    def __init__(self, group: Group) -> None:
        self.details: dict[str, Any] = {"auditserial": group.serial}
        self.category = _category(group.records)
        paths = sorted((record for record in group.records if record.type == "PATH"), key=_item)
        for record in sorted(group.records, key=lambda record: _PARTS.get(record.type, 0)):
            if record.type != "PATH":
                self._take(record)
        self._take_paths(paths)
        self._name_people(group.records)
        self.summary = self._summary()

    def _take(self, record: Record) -> None:
        fields = record.fields
        if record.type == "EXECVE":
            self._default("command", command_line(fields))
            self._default("argc", fields.get("argc", ""))
            return
        if record.type == "PROCTITLE":
            self._default("command", fields.get("proctitle", ""))
            return
        for name, value in fields.items():
            self._default(_RENAMED.get(name, name.lower()), value)
        address = fields.get("addr", "")
        if _is_address(address):
            self._default("sourceipaddress", address)

    def _take_paths(self, paths: list[Record]) -> None:
        """Take what was acted upon: the first path that is not merely the directory around it."""
        if not paths:
            return
        names = [record.fields["name"] for record in paths if record.fields.get("name", "") not in _NOTHING]
        chosen = next((record for record in paths if record.fields.get("nametype") != "PARENT"), paths[0])
        for name, value in chosen.fields.items():
            if name in _OF_A_PATH:
                self._default(name, value)
        self._default("path", chosen.fields.get("name", ""))
        if len(names) > 1:
            self.details["paths"] = names

    def _default(self, name: str, value: str) -> None:
        """Set a detail that has something to say and has not been said; an id says that it is null."""
        if value in _NOTHING and not (value == "(null)" and "id" in name):
            return
        said = _TRUTH.get(value, value) if name == "success" else value
        self.details.setdefault(name, said)

    def _name_people(self, records: list[Record]) -> None:
        """Set who did it and who they were at first; by their numbers where the names are not known."""
        correct(self.details)
        for id_name, user, other in (("auid", "originaluser", "suser"), ("uid", "user", "duser")):
            names = (record.names.get(id_name.upper()) for record in records)
            name = next((name for name in names if name), self.details.get(id_name))
            if name is not None:
                self.details[user] = self.details[other] = str(name)

    def _summary(self) -> str | None:
        details = self.details
        if self.category == "promiscuous":
            state = "off" if details.get("prom") == "0" else "on"
            return f"Promiscuous: {details.get('dev', 'unknown')} set promiscuous {state}"
        process = details.get("process") or details.get("processname")
        if self.category in ("execve", "ptrace", "time", "module"):
            what = details.get("command") or details.get("path") or process
        elif self.category in ("write", "read", "attribute", "mount"):
            what = details.get("path") or process
        else:
            return None
        return f"{self.category.capitalize()}: {what or 'unknown'}"


def _item(path: Record) -> tuple[int, str]:
    number = path.fields.get("item", "")
    return len(number), number


def _category(records: list[Record]) -> str:
    """Return what was done: by the record that gives the reason, else by the system call, else by what there is."""
    reason = next((record.type for record in records if record.type.startswith(_REASONS)), None)
    if reason is not None:
        return "promiscuous" if reason == "ANOM_PROMISCUOUS" else reason.lower()
    for record in records:
        if record.type == "SYSCALL":
            return category_of(record.fields, record.names.get("SYSCALL", ""))
    whole = [record.type for record in records if record.type not in _PARTS]
    return (
        "execve"
        if any(record.type == "EXECVE" for record in records)
        else (whole or [records[0].type])[0].lower()
    )


def correct(details: dict[str, Any]) -> None:
    """Put right, in place, what kernels and daemons write where they mean that there is no such id."""
    for name in ("auid", "ses"):
        value = details.get(name)
        if value == str(_UNSET):
            details[name] = "-1"
        elif value == _UNSET and not isinstance(value, bool):
            details[name] = -1
    for name, value in details.items():
        if value == "(null)" and "id" in name:
            details[name] = -1
    gid = details.get("gid")
    if isinstance(gid, str) and "," in gid:
        details["gidstring"] = details.pop("gid")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
