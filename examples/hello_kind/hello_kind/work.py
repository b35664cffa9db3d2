"""The work of the kind. It runs in a child process, may be stopped, and goes on where it was."""

import csv
import io
import json
import time
from collections.abc import Mapping
from typing import Any

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.kinds.base import JobContext, Outcome


def run(params: Mapping[str, Any], context: JobContext) -> Outcome:
    """Greet everybody who was not greeted by an earlier attempt, then write the table."""
    names: list[str] = params["names"]
    greetings: list[str] = json.loads(context.checkpoint_data or b"[]")

    def save() -> bytes:
        return json.dumps(greetings).encode()

    with context.stage("greet"):
        for name in names[len(greetings) :]:
            _wait(float(params["pause_s"]), context, save)
            greetings.append(f"{params['greeting']}, {name}!")
            context.progress(len(greetings), len(names), unit="greeting")
    with context.stage("write"):
        context.save_artifact(
            "greetings.csv",
            _table(names, greetings),
            media_type="text/csv",
            type=ArtifactType.TABLE,
        )
    return Outcome(
        headline=f"{len(greetings)} greeted",
        details={"first": greetings[0], "count": len(greetings)},
        metrics={"greetings": float(len(greetings))},
    )


def _wait(seconds: float, context: JobContext, save: Any) -> None:
    """Wait in short naps: each safe point is a chance to cancel or to pause."""
    end = time.monotonic() + seconds
    context.safe_point(save)
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.1))
        context.safe_point(save)


def _table(names: list[str], greetings: list[str]) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["name", "greeting"])
    writer.writerows(zip(names, greetings, strict=True))
    return text.getvalue()
