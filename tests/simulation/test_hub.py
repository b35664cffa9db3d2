"""What a watcher is handed in memory, when some of it got lost on the way."""

from datetime import UTC, datetime

import pytest

from jobplane.engine.domain.change import Change
from jobplane.engine.domain.event import JobEvent, Warned
from jobplane.engine.domain.job import Job, JobSpec
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.watch.hub import Subscription

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def offered(*sequences):
    """A subscription that was handed these events, each by a commit of its own."""
    subscription = Subscription()
    for sequence in sequences:
        job = Job("demo", "j", JobSpec("probe", b""), JobStatus.RUNNING, sequence, NOW, NOW)
        event = JobEvent("demo", "j", sequence, NOW, JobStatus.RUNNING, Warned("ODD", ""))
        subscription.offer(Change(job, job, (event,)))
    return subscription


@pytest.mark.parametrize("sequences", [(5,), (4, 6), (4, 5, 7)])
def test_events_with_a_gap_are_read_from_the_table(sequences):
    assert offered(*sequences).take(3) is None


def test_events_without_a_gap_are_taken_as_they_are():
    assert [event.sequence for event in offered(3, 4, 5).take(3)] == [4, 5]
