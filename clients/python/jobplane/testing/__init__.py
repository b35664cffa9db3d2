"""For tests of programs that use Jobplane: a real server in the test's own process.

pytest finds the fixtures by itself; `docs/testing.md` shows what can be done with them.
"""

from jobplane.testing.clock import FakeClock
from jobplane.testing.faults import Faults
from jobplane.testing.history import assert_events

__all__ = ["FakeClock", "Faults", "assert_events"]
