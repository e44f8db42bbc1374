"""The rule pack: several rules under one entry point."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from mozdef_core.errors import ConfigError
from mozdef_core.rules.rule import Rule


class RulePack:
    """Several rules under one entry point of the group ``mozdef.alerts``, in a folder of rule files or as classes.

    A rule is called ``pack:rule`` everywhere. Operators enable ``pack:rule``, or several with ``pack:*``; the pack's
    own name means all of it.

    :cvar folder: with the rule files, beside the module of the class.
    """

    folder: ClassVar[str] = "rules"

    @classmethod
    def rules(cls) -> Mapping[str, type[Rule[Any]]]:
        """Return the classes of the rules by name, without that of the pack; called once when it is loaded.

        Unless it is overridden, those of the files in ``folder``, each called like its file.

        :raises ConfigError: with everything that is wrong with the files.
        """
        from mozdef_core.rulefiles import read_rule  # 50 ms, only where there are such files

        found: dict[str, type[Rule[Any]]] = {}
        problems: list[str] = []
        for path in cls._paths():
            file = read_rule(path)
            name = file.name.rpartition(":")[2]
            problems.extend(file.problems)
            if name in found:
                problems.append(f"{path}: there is another rule {name!r} in this pack; expected another name")
            elif file.cls is not None:
                found[name] = file.cls
        if problems:
            raise ConfigError(problems)
        return found

    @classmethod
    def _paths(cls) -> list[Path]:
        from mozdef_core.rulefiles import rule_paths

        module = sys.modules[cls.__module__]
        folder = Path(str(module.__file__)).parent / cls.folder
        try:
            return list(rule_paths(folder))
        except OSError as error:
            raise ConfigError([f"{folder}: cannot be read: {error.strerror or error}"]) from None
