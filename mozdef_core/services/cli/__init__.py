"""The command line: one module per command, imported only when that command is called."""

from __future__ import annotations

import importlib
import pkgutil

import click


class CommandFolder(click.Group):
    """A group whose commands are the modules of this package; each holds its command as ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands without importing any."""
        return sorted(self._modules())

    def _modules(self) -> dict[str, str]:
        """Return the module of each command; an underscore at its end keeps it from being a word of Python.

        One at the beginning is that of a module with parts of another's command.
        """
        names = (module.name for module in pkgutil.iter_modules(__path__))
        return {name.rstrip("_").replace("_", "-"): name for name in names if not name.startswith("_")}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        name = self._modules().get(cmd_name)
        if name is None:
            return None
        module = importlib.import_module(f"{__name__}.{name}")
        command: click.Command = module.command
        return command


@click.command(cls=CommandFolder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mozdef-core", prog_name="mozdef")
def main() -> None:
    """MozDef: receive security events, find attacks in them, and tell somebody."""
