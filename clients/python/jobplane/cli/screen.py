"""Shows a watch: lines as things happen, and on a terminal a bar that moves."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from jobplane.cli.lines import line_of, metrics_text
from jobplane.cli.safe import Safe, folded, safe, styled
from jobplane.cli.session import plain
from jobplane.cli.units import clock, number
from jobplane.v1 import event_pb2

if TYPE_CHECKING:
    from datetime import datetime
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress, TaskID

    from jobplane.cli.session import Session
    from jobplane.client import Event, Interruption

COLORS = {
    "SUCCEEDED": "green",
    "SUCCEEDED_WITH_GAPS": "yellow",
    "FAILED": "red",
    "EVAL_FAILED": "red",
    "TIMED_OUT": "red",
    "CANCELLED": "yellow",
    "RUNNING": "cyan",
    "AWAITING_INPUT": "magenta",
}
LABEL_WIDTH = 12
# Where the text of a line begins, after time and label.
TEXT_AT = LABEL_WIDTH + 9


class Screen(Protocol):
    """Something that shows the events of one job."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def show(self, event: Event) -> None:
        """Show an event."""
        ...

    def show_interruption(self, interruption: Interruption) -> None:
        """Tell that the connection was lost, or is back."""
        ...


def screen_for(session: Session, job_id: str, *, verbose: bool) -> Screen:
    """Screen that fits the output form and the terminal."""
    if session.quiet or session.output in {"json", "name"}:
        return QuietScreen(session)
    if session.output == "jsonl":
        return JsonScreen(session)
    if session.live:
        return LiveScreen(session, verbose=verbose)
    return LineScreen(session, job_id, verbose=verbose)


def colored(text: str, status: str) -> Safe:
    """Text in the colour of a status."""
    return styled(text, fg=COLORS.get(status))


def interruption_text(interruption: Interruption) -> str:
    """What happened to the connection, in words."""
    if interruption.resumed:
        return f"connection back after {interruption.seconds:.1f} s, no event was missed"
    return f"connection lost ({interruption.cause}), resuming at event {interruption.cursor}"


class QuietScreen:
    """Shows nothing: only the result counts."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def show(self, event: Event) -> None:
        """Show an event."""

    def show_interruption(self, interruption: Interruption) -> None:
        """Tell that the connection was lost, or is back."""
        self._session.say(f"({interruption_text(interruption)})")


class JsonScreen(QuietScreen):
    """One JSON object per event."""

    def show(self, event: Event) -> None:
        """Show an event."""
        self._session.write_json({"type": event.type, **plain(event.wire)})


class LineScreen(QuietScreen):
    """One line for each change of the status; every durable event when verbose."""

    def __init__(self, session: Session, job_id: str, *, verbose: bool) -> None:
        super().__init__(session)
        self._job_id = job_id
        self._verbose = verbose
        self._status = ""

    def show(self, event: Event) -> None:
        """Show an event."""
        changed, self._status = event.status != self._status, event.status
        if event.type == "finished" and not self._verbose:
            # The final line follows and says more.
            return
        line = line_of(event)
        if line is None:
            if changed:
                self._session.write(f"{self._job_id} {event.status}")
            return
        is_status = line.label == event.status
        wanted = line.essential and (is_status or event.type in {"warning", "input_requested"})
        if wanted or self._verbose:
            label = line.label if is_status else f"{event.status} {line.label}"
            self._session.write(f"{self._job_id} {label} {line.text}".rstrip())


class LiveScreen(QuietScreen):
    """Lines with the time since the submit, above a bar that moves."""

    def __init__(self, session: Session, *, verbose: bool) -> None:
        super().__init__(session)
        self._verbose = verbose
        self._start: datetime | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._metrics = ""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_bar()

    def show(self, event: Event) -> None:
        """Show an event."""
        self._start = self._start or event.time
        payload = event.payload
        if event.progress is not None:
            self._show_progress(event)
            return
        if isinstance(payload, event_pb2.JobEvent.StageStarted):
            self._stage = payload.stage
        if isinstance(payload, event_pb2.JobEvent.MetricReported):
            self._metrics = metrics_text(payload.values)
        if event.phase != "ACTIVE":
            self._end_bar()
        line = line_of(event)
        if event.type == "finished" and not self._verbose:
            # The final line follows and says more.
            return
        if line is not None and (line.essential or self._verbose):
            label = colored(f"{line.label:<{LABEL_WIDTH}}", line.label)
            self._print(Safe(" ").join(["", self._clock(event), "", label, line.text]))

    def show_interruption(self, interruption: Interruption) -> None:
        """Tell that the connection was lost, or is back."""
        self._print(styled(f"  (!)   {interruption_text(interruption)}", fg="yellow"))

    def _clock(self, event: Event) -> str:
        if self._start is None or event.time is None:
            return clock(timedelta())
        return clock(event.time - self._start)

    def _show_progress(self, event: Event) -> None:
        progress = event.progress
        if progress is None or event.phase != "ACTIVE":
            return
        if self._bar is None or self._task is None:
            self._bar, self._task = new_bar(colored=self._session.colored)
            self._bar.start()
        has_fraction = progress.HasField("fraction")
        told = progress.message or self._metrics
        if not told and progress.unit:
            total = f" of {number(progress.total_units)}" if progress.total_units else ""
            told = f"{progress.unit} {number(progress.completed_units)}{total}"
        self._bar.update(
            self._task,
            total=1.0 if has_fraction else None,
            completed=progress.fraction if has_fraction else 0,
            description=safe(progress.stage or self._stage or event.status.lower()),
            told=safe(f"{told}  {self._metrics}" if progress.message and self._metrics else told),
        )

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None

    def _print(self, line: Safe) -> None:
        text = folded(line, shutil.get_terminal_size().columns, indent=TEXT_AT)
        if self._bar is None:
            self._session.write(text)
            return
        from rich.text import Text  # noqa: PLC0415 - only a live bar needs rich

        self._bar.console.print(Text.from_ansi(text), soft_wrap=True)


def new_bar(*, colored: bool) -> tuple[Progress, TaskID]:
    """Bar with its one task, which vanishes when it is stopped."""
    from rich.console import Console  # noqa: PLC0415 - only a live bar needs rich
    from rich.progress import (  # noqa: PLC0415 - the same
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column  # noqa: PLC0415 - the same

    bar = Progress(
        TextColumn(
            "        {task.description:<12}", markup=False, table_column=Column(no_wrap=True)
        ),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[told]}", markup=False, table_column=Column(no_wrap=True)),
        console=Console(no_color=not colored, force_terminal=True, highlight=False),
        transient=True,
    )
    return bar, bar.add_task("", told="", total=None)
