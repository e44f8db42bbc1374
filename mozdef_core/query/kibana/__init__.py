"""Saved searches and dashboards of Kibana, read into MozDef's queries (versions 5 to 9).

:func:`read` takes the file that Kibana exports and returns every search in it. What cannot be expressed exactly is
refused with its title and its filter; what has no meaning here is reported as a warning. Nothing is left out silently.
"""

from __future__ import annotations

from mozdef_core.query.kibana.names import RENAMED
from mozdef_core.query.kibana.searches import Imported, KibanaSearch, read

__all__ = ["RENAMED", "Imported", "KibanaSearch", "read"]
