"""The command line: one module per command, imported only when that command is called."""

from __future__ import annotations

import importlib
import pkgutil

import click


class CommandFolder(click.Group):
    """A group whose commands are the modules of this package; each holds its command as ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands without importing any."""
        return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


@click.command(cls=CommandFolder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mozdef-core", prog_name="mozdef")
def main() -> None:
    """MozDef: receive security events, find attacks in them, and tell somebody."""
