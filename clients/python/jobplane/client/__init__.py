"""Client of a Jobplane server: submit typed jobs, and watch them to their end.

from jobplane.client import Client, specs

with Client() as client:
    job = client.submit(specs.Probe(steps=3))
    for event in job.events():
        print(event.sequence, event.type, event.status)
    print(job.result().headline)
"""

from jobplane.client import errors, specs
from jobplane.client._aio.artifact import AsyncArtifact
from jobplane.client._aio.client import AsyncClient
from jobplane.client._aio.job import AsyncJob, AsyncJobList
from jobplane.client._aio.stream import AsyncJobsWatch, AsyncLogTail, AsyncWatch
from jobplane.client._batch import BatchItem, CancelledJobs
from jobplane.client._event import Event
from jobplane.client._logs import LogLine
from jobplane.client._sets import JobChange, WatchedJob
from jobplane.client._steps import Interruption, WatchPlan
from jobplane.client._sync.artifact import Artifact
from jobplane.client._sync.client import Client
from jobplane.client._sync.job import Job, JobList
from jobplane.client._sync.stream import JobsWatch, LogTail, Watch
from jobplane.client.errors import JobplaneError

__all__ = [
    "Artifact",
    "AsyncArtifact",
    "AsyncClient",
    "AsyncJob",
    "AsyncJobList",
    "AsyncJobsWatch",
    "AsyncLogTail",
    "AsyncWatch",
    "BatchItem",
    "CancelledJobs",
    "Client",
    "Event",
    "Interruption",
    "Job",
    "JobChange",
    "JobList",
    "JobplaneError",
    "JobsWatch",
    "LogLine",
    "LogTail",
    "Watch",
    "WatchPlan",
    "WatchedJob",
    "errors",
    "specs",
]
