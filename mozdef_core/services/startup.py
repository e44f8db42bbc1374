"""Start-up: what every command that runs a role does first, and how a role ends that cannot start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mozdef_core.errors import BookUnavailableError, ConfigError, QueueError, StoreUnavailableError
from mozdef_core.services.terminal import configured, fail

if TYPE_CHECKING:
    from mozdef_core.config import Config
    from mozdef_core.services.supervisor import Role


def start_up(path: Path | None) -> tuple[Config, Sequence[str]]:
    """Read and check the configuration, make the data directory, and send log records where it says.

    What is wrong ends the command.

    :returns: the configuration, and what is enabled in it but inactive.
    """
    from mozdef_core.services import check, compose

    config = configured(path)
    report = check.check(config)
    if report.problems:
        fail(*report.problems)
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"core.data_dir: cannot make {config.data_dir}: {error.strerror or error}")
    compose.configure_logging(config)
    return config, report.notices


def run_role(role: Role, ready: Callable[[], None]) -> None:
    """Run a role; what keeps it from starting ends the process with sentences, not with a traceback."""
    try:
        role(ready)
    except ConfigError as error:
        fail(*error.problems)
    except (StoreUnavailableError, BookUnavailableError, QueueError) as error:
        fail(str(error))
