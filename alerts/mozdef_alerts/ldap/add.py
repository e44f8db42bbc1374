"""A directory entry was added (detections.md D17)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from mozdef_alerts.ldap.changed import ChangeRule


class LdapAdd(ChangeRule):
    """Somebody added an entry of the directory."""

    changetype: ClassVar[str] = "add"
    told: ClassVar[str] = "added"
    attack: ClassVar[Sequence[str]] = ("T1136",)
