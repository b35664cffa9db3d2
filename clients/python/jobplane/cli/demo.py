"""The demo: a server, a job, a live watch, its artifacts, and a clean end."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from jobplane.client import Client, Event, Job, specs

READY = re.compile(r"jobplane ready grpc=(\S+) http=(\S+) data=(.+)")
STOP_WITHIN_S = 10.0
STEPS = 8
ROWS = 5
SHOWN_BYTES = 300
SUMMARY_LINES = 12
AUDIT_WITHIN_S = 60.0
# In a checkout; an installed wheel has no examples.
JOURNAL = Path(__file__).parents[4] / "examples/journals/sample.csv"


def main() -> int:
    """Run the demo; 0 when everything it says came true."""
    say("1. A server, on loopback and a free port, with a fresh folder for its data.")
    with tempfile.TemporaryDirectory(prefix="jobplane-demo-") as folder, served(Path(folder)) as at:
        with Client(at) as client:
            job = submit(client)
            watch(job)
            show_result(job)
            show_artifacts(job)
            say("6. The same request once more, with the same key: no second job is made.")
            again = client.submit(demo_spec(), idempotency_key="demo-1", labels={"why": "demo"})
            tell(f"answered with {again.id}, deduplicated={again.deduplicated}")
            audit(client)
        say("8. The server is asked to stop (SIGTERM).")
    tell("it exited 0; everything above is gone with its folder")
    say("Next: `make dev` serves on 127.0.0.1:7070, and the README has a grpcurl session.")
    return 0


@contextmanager
def served(data: Path) -> Generator[str]:
    """Run `jobplane dev` in a process of its own; gives its address."""
    command = [sys.executable, "-m", "jobplane.cli", "dev", "--port", "0", "--http-port", "0"]
    with (
        (data / "server.log").open("w") as log,
        subprocess.Popen(  # noqa: S603 - its own interpreter and its own words
            [*command, "--data", str(data / "data")], stdout=subprocess.PIPE, stderr=log, text=True
        ) as server,
    ):
        try:
            line = server.stdout.readline() if server.stdout else ""
            ready = READY.match(line)
            if not ready:
                raise SystemExit(f"the server did not start:\n{(data / 'server.log').read_text()}")
            tell(line.strip())
            yield ready[1]
        finally:
            server.send_signal(signal.SIGTERM)
            if server.wait(STOP_WITHIN_S) != 0:
                raise SystemExit(f"the server exited {server.returncode}")


def demo_spec() -> specs.Probe:
    """A job that takes about two seconds and leaves a table behind."""
    spec = specs.Probe(
        steps=STEPS, checkpoint_every=4, table_rows=ROWS, artifact_bytes=4096, metrics=True
    )
    spec.step_duration.FromMilliseconds(250)
    return spec


def submit(client: Client) -> Job:
    """Submit the demo's job."""
    say("2. A job is submitted. The answer comes once it is on disk; nobody waits for the work.")
    job = client.submit(demo_spec(), idempotency_key="demo-1", labels={"why": "demo"})
    tell(f"{job.name} is {job.status}")
    return job


def watch(job: Job) -> None:
    """Follow the job to its end."""
    say("3. It is watched live. Facts are numbered without a gap; the stream says when it ends.")
    for event in job.events():
        tell(line_of(event))


def line_of(event: Event) -> str:
    """One event as one line."""
    if progress := event.progress:
        return f"     {progress.completed_units} of {progress.total_units} {progress.unit}s"
    return f"{event.sequence:>3}  {event.type:<18} {event.status}"


def show_result(job: Job) -> None:
    """Show what the work came to."""
    say("4. Its result.")
    result = job.result(timeout=10)
    tell(f"{result.headline}; metrics {dict(result.metrics)}")


def show_artifacts(job: Job) -> None:
    """List the artifacts and print the beginning of the table."""
    say("5. Its artifacts: immutable, named by digest, readable as soon as they are listed.")
    for artifact in job.artifacts():
        tell(f"{artifact.id:<16} {artifact.size:>6} bytes  sha256 {artifact.sha256[:16]}")
    for line in job.artifact("table.csv").text()[:SHOWN_BYTES].splitlines():
        tell(f"  | {line}")


def audit(client: Client) -> None:
    """Audit the sample journal and open the summary of what it cost."""
    if not JOURNAL.is_file():
        return
    say("7. A real kind: a trade journal is uploaded and audited for behavioural bias.")
    job = client.submit(specs.TradeAudit(user_id="demo"), inputs={"journal": JOURNAL})
    result = job.result(timeout=AUDIT_WITHIN_S)
    found = result.trade_audit
    tell(result.headline)
    tell(f"outcome {found.outcome}, cost of bias {found.cost_of_bias:,.2f}")
    for moment in found.top_moments:
        tell(f"  {moment.badge:<12} {moment.sentence}")
    review = job.artifact("policy_report.txt").text()
    for line in review.splitlines()[:SUMMARY_LINES]:
        tell(f"  | {line}")


def say(text: str) -> None:
    """Print a heading."""
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


def tell(text: str) -> None:
    """Print a fact."""
    sys.stdout.write(f"   {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.environ.pop("JOBPLANE_ADDRESS", None)
    sys.exit(main())
