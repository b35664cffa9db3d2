"""Failures: every way in which an attempt can break, told apart by reason.

Retryable is what may well go away by itself: a crash, an exit code, a lost worker. A
limit that was hit is hit again, and an exception of the work comes again.
"""

import signal
from dataclasses import replace

from jobplane.engine.domain.job import Failure, FailureCategory
from jobplane.engine.kinds.base import WorkError

# Error details travel in trailers of 8 KiB; a message must leave room for the rest.
MAX_MESSAGE = 2000
TRACEBACK_ARTIFACT = "logs/traceback.txt"


def _failure(
    reason: str, category: FailureCategory, message: str, *, retryable: bool = False
) -> Failure:
    return Failure(reason, category, message[:MAX_MESSAGE], retryable=retryable)


def of_work_error(error: WorkError) -> Failure:
    """Give what the work itself said."""
    return _failure(error.reason, error.category, error.message, retryable=error.retryable)


def of_exception(error: BaseException) -> Failure:
    """Give the failure for anything else that the work raised."""
    if isinstance(error, WorkError):
        return of_work_error(error)
    if isinstance(error, MemoryError):
        return _failure(
            "MEMORY_LIMIT",
            FailureCategory.RESOURCE,
            "an allocation was refused: the work needs more memory than it may have",
        )
    if isinstance(error, SystemExit):
        return of_exit_code(error.code if isinstance(error.code, int) else int(bool(error.code)))
    return _failure(
        "UNHANDLED_ERROR", FailureCategory.USER_CODE, f"{type(error).__name__}: {error}"
    )


def of_exit_code(code: int) -> Failure:
    """Give the failure of a process that ended by itself and left no result."""
    text = f"the process exited with code {code} before the work gave a result"
    failure = _failure("EXIT_CODE", FailureCategory.USER_CODE, text, retryable=True)
    return replace(failure, exit_code=code)


def of_signal(number: int) -> Failure:
    """Give the failure of a process that a signal ended which the server did not send."""
    if number == signal.SIGXCPU:
        return _failure(
            "CPU_LIMIT", FailureCategory.RESOURCE, "the work used up its processor time"
        )
    name = signal.Signals(number).name if number in signal.valid_signals() else str(number)
    blame = FailureCategory.USER_CODE
    text = f"the process was ended by {name}"
    if number == signal.SIGKILL:
        blame, text = FailureCategory.INFRASTRUCTURE, f"{text}, which the server did not send"
    failure = _failure("CRASHED", blame, text, retryable=True)
    return replace(failure, exit_code=-number)


def memory_limit(limit_bytes: int) -> Failure:
    """Give the failure of work that was ended because it held too much memory."""
    return _failure(
        "MEMORY_LIMIT",
        FailureCategory.RESOURCE,
        f"the work held more than its {limit_bytes >> 20} MiB of memory; "
        "ask for more in resources.memory_bytes",
    )


def out_of_memory() -> Failure:
    """Give the failure of work that the kernel ended because the machine had no memory left."""
    failure = _failure(
        "OOM_KILLED",
        FailureCategory.RESOURCE,
        "the kernel ended the process because the machine ran out of memory",
        retryable=True,
    )
    return replace(failure, exit_code=-signal.SIGKILL)


def stalled(silence_s: float) -> Failure:
    """Give the failure of work that lives but reports nothing."""
    return _failure(
        "STALLED",
        FailureCategory.USER_CODE,
        f"the work reported nothing for {silence_s:g} s and was ended",
        retryable=True,
    )


def attempt_timeout(timeout_s: float) -> Failure:
    """Give the failure of an attempt that took longer than it may."""
    return _failure(
        "ATTEMPT_TIMEOUT", FailureCategory.DEADLINE, f"the attempt took longer than {timeout_s:g} s"
    )


def stage_timeout(stage: str, timeout_s: float) -> Failure:
    """Give the failure of a stage that took longer than it may."""
    text = f"stage {stage!r} took longer than {timeout_s:g} s"
    return replace(_failure("STAGE_TIMEOUT", FailureCategory.DEADLINE, text), stage=stage)


def killed() -> Failure:
    """Give the failure of an attempt that the engine had ended."""
    return _failure(
        "KILLED", FailureCategory.INFRASTRUCTURE, "the attempt was ended by force", retryable=True
    )


def server_stopped() -> Failure:
    """Give the failure of an attempt that was live when the server stopped."""
    return _failure(
        "SERVER_STOPPED",
        FailureCategory.INFRASTRUCTURE,
        "the server stopped while the attempt ran",
        retryable=True,
    )


def child_start_failed(why: str) -> Failure:
    """Give the failure of an attempt whose process did not come up."""
    return _failure(
        "CHILD_START_FAILED",
        FailureCategory.INFRASTRUCTURE,
        f"the process of the attempt could not start: {why}",
        retryable=True,
    )


def worker_lost(why: str) -> Failure:
    """Give the failure of an attempt whose process can't be followed any more."""
    return _failure("WORKER_LOST", FailureCategory.INFRASTRUCTURE, why, retryable=True)


def kind_unavailable(kind: str, why: str) -> Failure:
    """Give the failure of a kind whose code is not there where the attempt runs."""
    text = f"kind {kind!r} can't run here: {why}"
    return _failure("KIND_UNAVAILABLE", FailureCategory.INFRASTRUCTURE, text)


def protocol_broken(why: str) -> Failure:
    """Give the failure of a child that sent what can't be read."""
    return _failure("PROTOCOL_BROKEN", FailureCategory.USER_CODE, why)


def internal(error: BaseException) -> Failure:
    """Give the failure of the executor itself."""
    text = f"the executor failed: {type(error).__name__}: {error}"
    return _failure("INTERNAL", FailureCategory.INTERNAL, text, retryable=True)
