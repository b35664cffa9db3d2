"""Virtual time, seeded randomness, and an event loop and timers that live in them."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


def later(now, seconds):
    return now + timedelta(seconds=seconds)


class Time:
    """Time that passes only when told to: `elapsed` never goes back, the wall may jump."""

    def __init__(self):
        self.elapsed = 0.0
        self.offset_s = 0.0
        # The latest wall time that any clock has ever shown.
        self.latest = BEGINNING

    def advance(self, seconds):
        self.elapsed += seconds

    def jump(self, seconds):
        """Set the wall clock, as an operator or NTP would; what passes, passes on."""
        self.offset_s += seconds

    def wall(self, skew_s=0.0):
        shown = BEGINNING + timedelta(seconds=round(self.elapsed + self.offset_s + skew_s, 6))
        self.latest = max(self.latest, shown)
        return shown


class ServerClock:
    """What the clock of one server shows."""

    def __init__(self, time, skew_s=0.0):
        self._time = time
        self.skew_s = skew_s

    def now(self):
        return self._time.wall(self.skew_s)


class SeededRandomness:
    """Ids and jitter out of the seed."""

    def __init__(self, rng):
        self._rng = rng
        self._made = 0

    def new_id(self, now):  # noqa: ARG002  an id of the real source sorts by time
        self._made += 1
        return f"{self._made:05d}-{self._rng.getrandbits(32):08x}"

    def jitter(self):
        return self._rng.random()


class _NoSelector:
    def select(self, timeout):  # noqa: ARG002  nothing outside the simulation ever comes
        return []

    def close(self):
        pass


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop that moves one round when told to; its threads run at once, inline."""

    def __init__(self, time):
        super().__init__()
        self._virtual = time
        self._selector = _NoSelector()

    def time(self):
        return self._virtual.elapsed

    def run_in_executor(self, executor, func, *args):  # noqa: ARG002
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  as a thread pool keeps it
            future.set_exception(error)
        return future

    def _process_events(self, event_list):
        pass

    def _write_to_self(self):
        pass

    @property
    def has_work(self):
        """Whether a callback is ready."""
        return bool(self._ready)

    def round(self):
        """Run what is ready now, and nothing that becomes ready by it."""
        self.call_soon(self.stop)
        self.run_forever()


class Rng(random.Random):
    """The one source of chance of a schedule."""

    def chance(self, probability):
        return self.random() < probability
