"""Rule files: detections written as YAML or JSON instead of as classes."""

from __future__ import annotations

from mozdef_core.rulefiles.classes import OfFile
from mozdef_core.rulefiles.reading import ENDINGS, RuleFile, read_content, read_rule, rule_paths

__all__ = ["ENDINGS", "OfFile", "RuleFile", "read_content", "read_rule", "rule_paths"]
