"""The log of a tenant of Auth0: an input of MozDef."""

from __future__ import annotations

from mozdef_auth0.input import Auth0Input
from mozdef_auth0.settings import Auth0Options

__all__ = ["Auth0Input", "Auth0Options"]
