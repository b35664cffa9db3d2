"""After many jobs a server holds what it held before: memory, descriptors, threads, processes."""

import os
from pathlib import Path

import pytest

from tests.robust import leaks

JOBS = "JOBPLANE_ROBUST_JOBS"
MIB = 1 << 20


def _assert_nothing_left(
    data: Path, *, isolated: int, threaded: int, memory_mib: int, warm_up: int = 150
) -> None:
    with leaks.serving(data) as (address, pid):
        # Caches, pools and spare children fill up once.
        leaks.run_jobs(address, isolated=12, threaded=warm_up)
        before = leaks.at_rest(pid)
        leaks.run_jobs(address, isolated=isolated, threaded=threaded)
        after = leaks.back_at(pid, before)
    assert not after.has_more_than(before), f"before: {before}, after: {after}"
    grown_mib = (after.resident_bytes - before.resident_bytes) / MIB
    assert grown_mib <= memory_mib, f"memory grew by {grown_mib:.1f} MiB"


def test_a_few_hundred_jobs_leave_nothing_behind(tmp_path: Path):
    _assert_nothing_left(tmp_path, isolated=40, threaded=300, memory_mib=16)


@pytest.mark.robust
@pytest.mark.timeout(7200)
def test_ten_thousand_jobs_of_each_isolation_leave_nothing_behind(tmp_path: Path):
    count = int(os.environ.get(JOBS, "10000"))
    _assert_nothing_left(tmp_path, isolated=count, threaded=count, memory_mib=24, warm_up=3000)


def test_a_descriptor_more_is_seen():
    one = leaks.Holdings(resident_bytes=1, descriptors=10, threads=5, processes=2)
    more = leaks.Holdings(resident_bytes=1, descriptors=11, threads=5, processes=1)
    assert more.has_more_than(one)
    assert not one.has_more_than(one)
