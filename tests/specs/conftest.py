from __future__ import annotations

from hypothesis import HealthCheck, settings

# The machine is shared: a slow example says nothing about the code.
settings.register_profile("specs", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("specs")
