"""Settings of all tests: no property is judged by how long an example takes, for machines are shared and noisy."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if "CI" not in os.environ:  # there Hypothesis has a profile of its own, without deadlines and repeatable
    settings.load_profile("steady")
