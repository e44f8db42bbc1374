"""$sentence"""

from __future__ import annotations

$imports


class $class:
    """$sentence"""

    class Options(PluginOptions):
        """What an operator may set under ``[plugin.$name]``."""

$options

$attributes
    def __init__(self, options: Options) -> None:
        self.options = options

$methods
