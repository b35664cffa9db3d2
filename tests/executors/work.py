"""Work functions of the kinds that these tests run."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from jobplane.engine.domain.artifact import ArtifactType
from jobplane.engine.domain.job import FailureCategory, Gap, Question
from jobplane.engine.kinds.base import JobContext, Outcome, Stopped, WorkError

Params = dict[str, Any]


def succeed(params: Params, context: JobContext) -> Outcome:
    return Outcome("done", {"echo": params}, {"answer": 42}, ("odd",), (Gap("LESS", "less"),))


def boast(params: Params, context: JobContext) -> Outcome:
    return Outcome("done", {"text": "x" * int(params["bytes"])})


def refuse_gate(params: Params, context: JobContext) -> Outcome:
    return Outcome(gate_refusal="not good enough")


def work_error(params: Params, context: JobContext) -> Outcome:
    raise WorkError("NO_DATA", "the input is empty", category=FailureCategory.INPUT, retryable=True)


def unhandled(params: Params, context: JobContext) -> Outcome:
    raise KeyError("nobody expected this")


def unhandled_in_stage(params: Params, context: JobContext) -> Outcome:
    with context.stage("outer"):
        raise KeyError("in a stage")


def memory_error(params: Params, context: JobContext) -> Outcome:
    raise MemoryError


def system_exit(params: Params, context: JobContext) -> Outcome:
    sys.exit(3)


def nothing_returned(params: Params, context: JobContext) -> None:
    return None


def exit_at_once(params: Params, context: JobContext) -> Outcome:
    os._exit(int(params["code"]))


def kill_self(params: Params, context: JobContext) -> Outcome:
    os.kill(os.getpid(), int(params["signal"]))
    time.sleep(60)
    return Outcome()


def burn_cpu(params: Params, context: JobContext) -> Outcome:
    while True:
        context.progress()


def report_everything(params: Params, context: JobContext) -> Outcome:
    with context.stage("load"):
        context.metric(1, loss=0.5)
        context.warn("ODD", "something odd")
    with context.stage("train", reused=True):
        context.save_artifact("text.txt", "hello", media_type="text/plain")
        path = context.folder / "made.bin"
        path.write_bytes(b"\0\1")
        context.save_artifact(
            "models/made.bin", path, media_type="application/octet-stream", type=ArtifactType.MODEL
        )
        context.save_checkpoint(b"state", completed_units=7)
    return Outcome()


def many_progresses(params: Params, context: JobContext) -> Outcome:
    for number in range(20_000):
        context.progress(number + 1, 20_000)
    return Outcome()


def many_metrics(params: Params, context: JobContext) -> Outcome:
    for number in range(1000):
        context.metric(number, value=number)
    return Outcome()


def count(params: Params, context: JobContext) -> Outcome:
    """Count until stopped; the count is the checkpoint."""
    done = int(context.checkpoint_data or 0)
    context.progress(done)
    while True:
        context.safe_point(lambda: str(done).encode(), completed_units=done)  # noqa: B023  at once
        done += 1
        time.sleep(0.01)


def count_without_checkpoint(params: Params, context: JobContext) -> Outcome:
    context.progress()
    while True:
        context.safe_point()
        time.sleep(0.01)


def pause_taken_back(params: Params, context: JobContext) -> Outcome:
    """Reach a safe point only when the folder holds a file named `go`."""
    context.progress()
    while not (context.folder / "go").exists():
        time.sleep(0.01)
    context.safe_point(lambda: b"never")
    return Outcome("went on")


def swallow_exceptions(params: Params, context: JobContext) -> Outcome:
    context.progress()
    while True:
        with contextlib.suppress(Exception):
            context.safe_point()
        time.sleep(0.01)


def ignore_cancel(params: Params, context: JobContext) -> Outcome:
    signal_if_main()
    context.progress(1)
    end = time.monotonic() + 120
    while time.monotonic() < end and not Path(params["release"]).exists():
        time.sleep(0.01)
    context.progress(2)
    return Outcome("came to its end all the same")


def signal_if_main() -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def stop_unasked(params: Params, context: JobContext) -> Outcome:
    raise Stopped


def ask(params: Params, context: JobContext) -> Outcome:
    questions = [Question("colour", "Which?", ("red", "blue"), required=True), Question("note")]
    answers = context.ask("Choose.", questions, timeout_s=60)
    return Outcome(f"{answers['colour']}, {answers['note']!r}")


def slow_stage(params: Params, context: JobContext) -> Outcome:
    with context.stage("slow"):
        while not Path(params["release"]).exists():
            context.progress()
            time.sleep(0.01)
    return Outcome()


def hang(params: Params, context: JobContext) -> Outcome:
    context.progress()
    while not Path(params["release"]).exists():
        time.sleep(0.01)
    return Outcome()


def say_nothing(params: Params, context: JobContext) -> Outcome:
    while not Path(params["release"]).exists():
        time.sleep(0.01)
    return Outcome()


def show_surroundings(params: Params, context: JobContext) -> Outcome:
    targets: dict[str, str] = {}
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            targets[link.name] = str(link.readlink())
    seen = {
        "environ": dict(os.environ),
        "initial": Path("/proc/self/environ").read_bytes().decode().split("\0"),
        "fds": targets,
        "cwd": str(Path.cwd()),
        "folder": str(context.folder),
        "path": sys.path,
        "settings": dict(context.settings),
        "inputs": {role: given.path.read_text() for role, given in context.inputs.items()},
        "pid": os.getpid(),
        "sid": os.getsid(0),
        "attempt": context.attempt,
        "version": context.engine_version,
    }
    return Outcome(details=seen)


def write_garbage(params: Params, context: JobContext) -> Outcome:
    os.write(3, params["bytes"].encode("latin-1"))
    time.sleep(60)
    return Outcome()


def close_line(params: Params, context: JobContext) -> Outcome:
    os.close(3)
    time.sleep(60)
    return Outcome()


def close_outputs(params: Params, context: JobContext) -> Outcome:
    os.close(1)
    os.close(2)
    return Outcome("silent")


def leave_fork(params: Params, context: JobContext) -> Outcome:
    """Return from the work in a fork too: only the child may be heard."""
    is_fork = os.fork() == 0
    return Outcome("fork" if is_fork else "child")


def leave_thread(params: Params, context: JobContext) -> Outcome:
    threading.Thread(target=time.sleep, args=(60,)).start()
    return Outcome("done")


def exit_hook_hangs(params: Params, context: JobContext) -> Outcome:
    threading._register_atexit(time.sleep, 60)  # type: ignore[attr-defined]
    return Outcome("done")


def artifact_outside(params: Params, context: JobContext) -> Outcome:
    context.save_artifact("secret", Path(params["path"]), media_type="text/plain")
    return Outcome()


def artifact_name(params: Params, context: JobContext) -> Outcome:
    context.save_artifact(params["name"], b"", media_type="text/plain")
    return Outcome()


def remove_folder(params: Params, context: JobContext) -> Outcome:
    shutil.rmtree(context.folder.parent)
    raise KeyError("after the folder is gone")


def daemonise(params: Params, context: JobContext) -> Outcome:
    """Leave a process with no environment, no session and no parent of ours."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        pid = os.fork()
        if pid == 0:
            os.execve("/bin/sleep", ["sleep", "300"], {})
        os.write(write, str(pid).encode())
        os._exit(0)
    pid_text = os.read(read, 32).decode()
    return Outcome(pid_text)


def stop_self(params: Params, context: JobContext) -> Outcome:
    os.kill(os.getpid(), signal.SIGSTOP)
    return Outcome()


def hoard(params: Params, context: JobContext) -> Outcome:
    kept = []
    while True:
        kept.append(bytearray(b"\1") * (8 << 20))
        context.safe_point()


def hoard_in_child(params: Params, context: JobContext) -> Outcome:
    text = "k = []\nwhile True: k.append(bytearray(b'1') * (4 << 20))"
    subprocess.run([sys.executable, "-I", "-S", "-c", text], check=False)
    return Outcome("the child alone was ended")


def artifact_link(params: Params, context: JobContext) -> Outcome:
    link = context.folder / "link"
    link.symlink_to(params["path"])
    context.save_artifact("link", link, media_type="text/plain")
    return Outcome()


def talk(params: Params, context: JobContext) -> Outcome:
    sys.stdout.write(params["out"] + "\n")
    sys.stderr.write(params["err"] + "\n")
    return Outcome()


def flood(params: Params, context: JobContext) -> Outcome:
    left = int(params["bytes"])
    block = b"x" * (1 << 20)
    while left > 0:
        left -= os.write(1, block[:left])
    return Outcome()


def leave_sleeper(params: Params, context: JobContext) -> Outcome:
    sleeper = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
    return Outcome(str(sleeper.pid))


def tree(params: Params, context: JobContext) -> Outcome:
    """Three generations: a child, one that left the session, one that left its parent."""
    text = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pid = os.fork()\n"
        "if pid: print(pid, flush=True)\n"
        "else: os.setsid(); time.sleep(300)\n"
    )
    command = [sys.executable, "-I", "-S", "-c", text]
    orphan = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert orphan.stdout is not None
    pid = int(orphan.stdout.readline())
    child = subprocess.Popen(["/bin/sleep", "300"])
    context.progress(message=f"{os.getpid()} {child.pid} {pid}")
    orphan.wait()
    time.sleep(300)
    return Outcome()
