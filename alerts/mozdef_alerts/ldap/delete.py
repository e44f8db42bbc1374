"""A directory entry was deleted (detections.md D19)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.ldap.changed import ChangeRule


class LdapDelete(ChangeRule):
    """Somebody deleted an entry of the directory."""

    changetype: ClassVar[str] = "delete"
    told: ClassVar[str] = "deleted"
    attack: ClassVar[Sequence[str]] = ("T1531",)
