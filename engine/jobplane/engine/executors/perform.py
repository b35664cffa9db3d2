"""Performing: from a spec and a context to how the attempt ended."""

import contextlib
import importlib
import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from google.protobuf.message import Message

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.attempt import Asked, Broke, Completed, Conclusion, Intent, Yielded
from jobplane.engine.domain.job import MAX_RESULT_BYTES, Failure, JobResult
from jobplane.engine.executors import failures
from jobplane.engine.executors.context import Asking, AttemptContext, Order
from jobplane.engine.kinds.base import Outcome, Stopped, WorkError

Work = Callable[[Any, AttemptContext], Outcome]


def loaded(path: str) -> Any:
    """Give what "package.module:name" names, importing the module."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def parsed(spec: type[Message] | None, params: bytes) -> Any:
    """Give the params as the work wants them: its message, or a mapping for a custom kind."""
    if spec is None:
        return json.loads(params) if params else {}
    return spec.FromString(params)


def perform(work: Work, spec: Any, context: AttemptContext) -> Conclusion:
    """Run the work to its end, whatever that is. Nothing passes but a broken interpreter."""
    conclusion: Conclusion
    try:
        conclusion = _completed(work(spec, context))
    except Asking as asking:
        conclusion = Asked(asking.request, asking.timeout_s)
    except Stopped:
        conclusion = _stopped(context.stopped_for)
    except WorkError as error:
        conclusion = _broke(failures.of_work_error(error), context)
    # Whatever the work raises is its failure, never the executor's: KeyboardInterrupt too.
    except BaseException as error:  # noqa: BLE001
        conclusion = _broke(_explained(error, context), context)
    # Stopped: the attempt was ended from outside while the work came to its end.
    with contextlib.suppress(OSError, Stopped):
        context.flush()
    return conclusion


def _stopped(order: Order | None) -> Conclusion:
    match order:
        case Order.CANCEL:
            return Yielded(Intent.CANCEL)
        case Order.PAUSE:
            return Yielded(Intent.PAUSE)
        case Order.DRAIN:
            return Broke(failures.server_stopped())
        case None:
            return Broke(
                failures.of_exception(RuntimeError("the work stopped without being asked"))
            )


def _broke(failure: Failure, context: AttemptContext) -> Broke:
    stage = context.broken_stage or context.current_stage
    return Broke(replace(failure, stage=stage, attempt=context.attempt))


def _explained(error: BaseException, context: AttemptContext) -> Failure:
    """Keep the traceback as an artifact: the message alone rarely says where."""
    failure = failures.of_exception(error)
    if isinstance(error, SystemExit):
        return failure
    text = "".join(traceback.format_exception(error))
    try:
        context.save_artifact(
            failures.TRACEBACK_ARTIFACT, text, media_type="text/plain", type=ArtifactType.LOG
        )
    except (OSError, WorkError, Stopped):
        # Stopped: the attempt was ended from outside, and nobody hears of its failure any more.
        return failure
    return replace(failure, detail_artifact=failures.TRACEBACK_ARTIFACT)


def _completed(outcome: object) -> Completed:
    if not isinstance(outcome, Outcome):
        raise TypeError(f"the work returned {type(outcome).__name__}, not Outcome")
    result = JobResult(
        headline=outcome.headline,
        metrics={name: float(value) for name, value in outcome.metrics.items()},
        warnings=tuple(outcome.warnings),
        details=_serialized(outcome.details),
    )
    if result.size_bytes > MAX_RESULT_BYTES:
        raise WorkError(
            "RESULT_TOO_LARGE",
            f"the result has {result.size_bytes} bytes, and {MAX_RESULT_BYTES} are kept; "
            "save what is large as an artifact",
        )
    return Completed(result, tuple(outcome.gaps), outcome.gate_refusal)


def _serialized(details: Message | Mapping[str, Any] | None) -> bytes:
    if details is None:
        return b""
    if isinstance(details, Message):
        return details.SerializeToString(deterministic=True)
    return json.dumps(details, allow_nan=False, sort_keys=True).encode()
