"""The options of the files input: the table ``[input.files]``."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import field_validator

from mozdef_core import Field, Options
from mozdef_files.line import Format
from mozdef_files.reader import is_readable

STANDARD_INPUT: Final = "-"


class FilesOptions(Options):
    """Which files, what their lines are, and where to begin."""

    paths: list[str] = Field(
        min_length=1, description="files to follow, as names or globs; '-' alone is standard input"
    )
    state_dir: Path = Field(Path("var/files"), description="directory in which positions are kept")
    format: Format = Field(
        "auto",
        description="what a line is: json, an object; text, the text of a message; auto, whichever of these it "
        "looks like; syslog, a line as syslog servers write it, such as in auth.log; audit, a record of the audit "
        "daemon: those of one serial become one event",
    )
    start: Literal["end", "beginning"] = Field(
        "end", description="where a file is begun that was there when its path was first followed"
    )
    fields: dict[str, str] = Field({}, description="fields of every event that does not say so itself")
    tags: list[str] = Field([], description="tags of every event that has none")
    interval_s: float = Field(0.25, ge=0.05, le=60, description="seconds between looks at the files")
    max_files: int = Field(500, ge=1, description="files kept open at a time; further ones wait")

    @field_validator("format")
    @classmethod
    def _check_installed(cls, form: Format) -> Format:
        if not is_readable(form):
            raise ValueError(
                f"{form} needs the distribution mozdef-syslog, which is not installed; install mozdef-files[syslog]"
            )
        return form

    @field_validator("paths")
    @classmethod
    def _check_alone(cls, paths: list[str]) -> list[str]:
        if STANDARD_INPUT in paths and len(paths) > 1:
            raise ValueError("'-' is standard input and stands alone; give files an input of their own")
        return paths
