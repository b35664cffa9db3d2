"""Faults: what goes wrong at which visit of which place, decided by the schedule."""

from tests.simulation.storage import Crash, disk_error

# Inside a transaction that is not committed yet: an error here undoes all of it.
INSIDE = frozenset(
    {
        "submit_before_commit",
        "steer_before_commit",
        "claim_before_commit",
        "report_before_commit",
        "conclusion_before_commit",
        "recover_before_commit",
        "commit_before",
    }
)


class Faults:
    """What is armed now. Every visit of a place may have it go off."""

    def __init__(self, world):
        self._world = world
        # Visits until the server of the moment is gone; None is never.
        self.crash_in = None
        # Groups and reads that still fail because the disk does.
        self.unavailable = 0
        # Commits from now at which the answer is lost though the rows are there.
        self.lost_answer_in = None
        # Visits of a place inside a transaction until one fails there.
        self.fail_inside_in = None
        # Orders of the group that is being committed: to lose the answer of several hurts most.
        self.group_size = 0
        # Answers that were lost so far: what they answered may be done twice.
        self.lost_answers = 0

    def calm(self):
        self.crash_in = self.lost_answer_in = self.fail_inside_in = None
        self.unavailable = 0

    def visit(self, place):
        """Go on, or have the armed fault."""
        self._world.must_live()
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in <= 0:
                self.crash_in = None
                self._world.crash(f"at {place}")
                raise Crash
        if place in {"begin", "read"} and self.unavailable > 0:
            self.unavailable -= 1
            self._world.sometimes("unavailable")
            raise disk_error(place)
        if place in INSIDE and self._counts_down("fail_inside_in"):
            self._world.sometimes("failed_inside")
            self._world.note(f"the disk fails {place}")
            raise disk_error(place)
        hurts = self.group_size > 1 or self._world.rng.chance(0.3)
        if place == "committed" and hurts and self._counts_down("lost_answer_in"):
            self.lost_answers += 1
            self._world.sometimes("lost_answer")
            self._world.note("the answer of a commit is lost")
            raise disk_error(place)

    def _counts_down(self, name):
        left = getattr(self, name)
        if left is None:
            return False
        setattr(self, name, left - 1 if left > 1 else None)
        return left <= 1
