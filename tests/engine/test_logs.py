"""Logs: cut to lines, kept in files, tailed while they grow, and artifacts in the end."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobplane.engine.clock import SystemClock
from jobplane.engine.content.files import OpenFile
from jobplane.engine.content.store import ContentStore
from jobplane.engine.domain.attempt import Broke, Completed
from jobplane.engine.domain.errors import DrainingError, InvalidSpecError, JobNotFoundError
from jobplane.engine.domain.job import Failure, FailureCategory, JobResult, JobSpec, RunPolicy
from jobplane.engine.domain.log_line import MAX_LINE_BYTES, LineCutter
from jobplane.engine.domain.status import JobStatus
from jobplane.engine.domain.submission import Submission
from jobplane.engine.house import House
from jobplane.engine.kinds.registry import Registry
from jobplane.engine.library import ArtifactQuery
from jobplane.engine.logbook import LogBook
from jobplane.engine.settings import EngineSettings
from jobplane.engine.watch.log_file import LogFile
from jobplane.engine.watch.logs import LOOK_S
from jobplane.kinds.probe.v1.probe_pb2 import ProbeSpec
from tests.engine.conftest import until

FENCE = ("demo", "one", 1)


def run(coroutine):
    return asyncio.run(coroutine)


# Cutting


def cut(*chunks):
    cutter = LineCutter()
    return [line for chunk in chunks for line in cutter.feed(chunk)] + cutter.finish()


def test_lines_are_cut_at_their_ends_wherever_the_chunks_are():
    assert cut(b"on", b"e\ntwo\n\nfo", b"ur") == ["one", "two", "", "four"]


def test_a_line_end_at_the_end_makes_no_empty_line():
    assert cut(b"one\n") == ["one"]
    assert cut(b"") == []


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_way_of_cutting_gives_the_same_lines(chunks):
    assert cut(*chunks) == cut(b"".join(chunks))


def test_text_is_kept_as_it_is():
    assert cut("a\r\nb\0c\u2028d\n".encode()) == ["a\r", "b\0c\u2028d"]


def test_what_is_no_text_is_shown_as_such():
    assert cut(b"\xff\xfe ok\n") == ["\ufffd\ufffd ok"]


def test_a_line_without_end_is_bounded():
    cutter = LineCutter()
    for _ in range(100):
        assert cutter.feed(b"x" * 65536) == []
    assert len(cutter._begun) <= MAX_LINE_BYTES + 4
    assert cutter.feed(b"\nnext\n") == ["x" * MAX_LINE_BYTES, "next"]


@pytest.mark.parametrize("letter", ["é", "€", "😀", "\udcff"])
def test_a_long_line_is_cut_between_two_characters(letter):
    data = b"a" + (letter.encode("utf-8", "surrogateescape") * MAX_LINE_BYTES) + b"\n"
    (line,) = cut(data)
    assert MAX_LINE_BYTES - 4 < len(line.encode()) <= MAX_LINE_BYTES
    assert set(line[1:]) == {letter if letter != "\udcff" else "\ufffd"}


# Keeping


@pytest.fixture
def content(tmp_path):
    store = ContentStore(tmp_path / "content")
    store.start()
    return store


@pytest.fixture
def book(tmp_path, content):
    return make_book(tmp_path, content)


def make_book(tmp_path, content, **options):
    return LogBook(
        tmp_path / "logs",
        content=content,
        clock=SystemClock(),
        on_line=lambda key: None,
        **options,
    )


def lines_of(reader, after=0):
    page = LogFile(reader).page(offset=None, after_line=after)
    return list(page.lines)


def texts(lines):
    return [(line.line, line.stream, line.text) for line in lines]


def test_lines_of_both_streams_are_numbered_together(book):
    book.append(FENCE, "stdout", b"out\nrest")
    book.append(FENCE, "stderr", b"err\n")
    book.append(FENCE, "stdout", b" of it\n")
    assert texts(lines_of(book.open_file(FENCE))) == [
        (1, "stdout", "out"),
        (2, "stderr", "err"),
        (3, "stdout", "rest of it"),
    ]


def test_the_last_line_needs_no_end(book, content):
    book.append(FENCE, "stdout", b"no end")
    artifact = book.close(FENCE)
    assert texts(lines_of(content.open(artifact.sha256))) == [(1, "stdout", "no end")]
    assert (artifact.artifact_id, artifact.type) == ("logs/attempt-1.jsonl", "LOG")


def test_an_attempt_that_printed_nothing_has_no_log(book):
    assert book.close(FENCE) is None


def test_a_log_is_bounded_and_says_what_is_missing(tmp_path, content):
    book = make_book(tmp_path, content, limit_bytes=10_000)
    for _ in range(100):
        book.append(FENCE, "stdout", b"\n" * 65536)
    artifact = book.close(FENCE)
    assert artifact.size_bytes < 11_000
    last = lines_of(content.open(artifact.sha256))[-1]
    assert last.stream == "system"
    assert last.text.startswith("[truncated: 65")


def test_a_line_that_does_not_fit_ends_the_log(tmp_path, content):
    book = make_book(tmp_path, content, limit_bytes=300)
    book.append(FENCE, "stdout", b"short\n" + b"x" * 1000 + b"\nshort\n")
    artifact = book.close(FENCE)
    lines = texts(lines_of(content.open(artifact.sha256)))
    assert lines[0] == (1, "stdout", "short")
    assert lines[1:] == [(2, "system", "[truncated: 1007 more bytes were dropped]")]


def test_a_disk_that_refuses_does_not_end_the_work(tmp_path, content):
    (tmp_path / "logs").write_text("a file where the folder should be")
    book = make_book(tmp_path, content)
    book.append(FENCE, "stdout", b"one\n")
    assert book.close(FENCE) is None


def test_what_a_dead_server_left_is_found(book, tmp_path, content):
    book.append(FENCE, "stdout", b"one\ntwo\n")
    ((fence, artifact),) = make_book(tmp_path, content).leftovers()
    assert fence == FENCE
    assert [line.text for line in lines_of(content.open(artifact.sha256))] == ["one", "two"]


def test_a_dropped_log_leaves_no_folder(book, tmp_path):
    book.append(FENCE, "stdout", b"one\n")
    book.close(FENCE)
    book.drop(FENCE)
    assert list((tmp_path / "logs").iterdir()) == []


# Finding


@pytest.fixture
def long_log(book):
    for number in range(1, 20_001):
        book.append(FENCE, "stdout", b"line %d %s\n" % (number, b"x" * (number % 97)))
    return book.open_file(FENCE)


@pytest.mark.parametrize("after", [0, 1, 4_999, 10_000, 19_998, 19_999])
def test_any_line_is_found(long_log, after):
    page = LogFile(long_log).page(offset=None, after_line=after)
    assert page.lines[0].line == after + 1


def test_pages_go_on_where_the_last_one_ended(long_log):
    offset, after, seen = None, 7_000, []
    while lines := (page := LogFile(long_log).page(offset=offset, after_line=after)).lines:
        offset, after = page.offset, lines[-1].line
        seen += [line.line for line in lines]
    assert seen == list(range(7_001, 20_001))


def test_nothing_comes_after_the_last_line(long_log):
    assert LogFile(long_log).page(offset=None, after_line=20_000).lines == ()
    assert LogFile(long_log).last_line() == 20_000


def test_lines_of_control_characters_are_found(book):
    for _ in range(40):
        book.append(FENCE, "stdout", b"\x01" * MAX_LINE_BYTES + b"\n")
    log = LogFile(book.open_file(FENCE))
    assert log.last_line() == 40
    assert log.page(offset=None, after_line=39).lines[0].line == 40


def test_a_record_that_is_still_being_written_comes_later(tmp_path, book):
    book.append(FENCE, "stdout", b"one\n")
    path = tmp_path / "logs" / "demo" / "one" / "1.jsonl"
    with path.open("ab") as file:
        file.write(b'{"line":2,"ti')
    assert [line.text for line in lines_of(OpenFile(path))] == ["one"]
    assert LogFile(OpenFile(path)).last_line() == 1


# Tailing, with an executor that prints what the test says


class Printer:
    """An executor whose attempts print and end when they are told to."""

    def __init__(self):
        self.launched = asyncio.Queue()
        self._loop = None
        self._live = {}

    def start(self, reports):
        self.reports = reports

    def free_slots(self):
        return 4

    def launch(self, assignment):
        self._live[assignment.fence] = assignment
        self._loop.call_soon_threadsafe(self.launched.put_nowait, assignment)

    def control(self, fence, intent):
        del intent
        assignment = self._live.pop(fence, None)
        if assignment is not None:
            self.reports.log(assignment, "stdout", b"last words\n")
            self._conclude(assignment, fails())

    def stop(self, grace_s):
        del grace_s
        for assignment in self._live.values():
            self._conclude(assignment, fails())

    def print(self, assignment, text, stream="stdout"):
        self.reports.log(assignment, stream, text.encode())

    def end(self, assignment, conclusion=None):
        del self._live[assignment.fence]
        self._conclude(assignment, conclusion or Completed(JobResult()))

    def _conclude(self, assignment, conclusion):
        self.reports.concluded(assignment, conclusion, cpu_s=0.0, peak_memory_bytes=0)


def fails():
    return Broke(Failure("OOPS", FailureCategory.INFRASTRUCTURE, "oops", retryable=True))


@asynccontextmanager
async def printing(tmp_path):
    printer = Printer()
    printer._loop = asyncio.get_running_loop()
    house = House(
        EngineSettings(tmp_path), registry=Registry.discover(), executors={"THREAD": printer}
    )
    engine = await house.start()
    try:
        yield house, engine, printer
    finally:
        await house.stop(1)


async def submit(engine, **policy):
    spec = ProbeSpec(isolation=ProbeSpec.ISOLATION_THREAD).SerializeToString()
    policy = RunPolicy(initial_backoff_s=0.01, max_backoff_s=0.01, **policy)
    return (await engine.submit(Submission("demo", JobSpec("probe", spec, policy=policy)))).job


def tail(engine, job, attempt=0, after_line=0, tail_lines=0, follow=False):
    return engine.streams.tail_logs(
        "demo",
        job.job_id,
        attempt=attempt,
        after_line=after_line,
        tail_lines=tail_lines,
        follow=follow,
    )


async def read(stream):
    """Lines as (attempt, text), and whether the end was said."""
    lines, end = [], False
    async with asyncio.timeout(20):
        async for frame in stream:
            assert not end
            lines += [(frame.attempt, line.text) for line in frame.lines]
            end = frame.end
    return lines, end


async def next_line(stream):
    async with asyncio.timeout(20):
        async for frame in stream:
            if frame.lines:
                return [line.text for line in frame.lines]
    raise AssertionError("it ended")


def test_an_unknown_job_is_refused_before_any_frame(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (_, engine, __):
            stream = engine.streams.tail_logs(
                "demo", "no", attempt=0, after_line=0, tail_lines=0, follow=True
            )
            with pytest.raises(JobNotFoundError):
                await anext(stream)

    run(scenario())


def test_a_follower_waits_for_the_first_line_and_sees_each_as_it_comes(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (house, engine, printer):
            house.dispatcher.paused = True
            job = await submit(engine)
            stream = tail(engine, job, follow=True)
            first = asyncio.create_task(next_line(stream))
            await asyncio.sleep(0)
            house.dispatcher.paused = False
            house._dispatch_loop.wake()
            attempt = await printer.launched.get()
            printer.print(attempt, "one\n")
            assert await first == ["one"]
            printer.print(attempt, "two\nthr")
            assert await next_line(stream) == ["two"]
            printer.end(attempt)
            assert await read(stream) == ([(1, "thr")], True)

    run(scenario())


def test_a_lost_wake_up_costs_a_moment(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (house, engine, printer):
            house.line_hub.nudge = lambda key: None
            house.logs._on_line = lambda key: None
            job = await submit(engine)
            attempt = await printer.launched.get()
            stream = tail(engine, job, follow=True)
            printer.print(attempt, "one\n")
            assert await next_line(stream) == ["one"]
            printer.print(attempt, "two\n")
            async with asyncio.timeout(LOOK_S * 10):
                assert await next_line(stream) == ["two"]
            await stream.aclose()
            printer.end(attempt)

    run(scenario())


def test_without_follow_it_ends_at_what_is_there(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (_, engine, printer):
            job = await submit(engine)
            assert await read(tail(engine, job)) == ([], True)
            attempt = await printer.launched.get()
            printer.print(attempt, "one\ntwo\n")
            assert await read(tail(engine, job)) == ([(1, "one"), (1, "two")], True)
            printer.end(attempt)

    run(scenario())


@pytest.mark.parametrize("ended", [False, True])
def test_reading_starts_after_a_line_or_some_lines_before_the_end(tmp_path, ended):
    async def scenario():
        async with printing(tmp_path) as (_, engine, printer):
            job = await submit(engine)
            attempt = await printer.launched.get()
            printer.print(attempt, "".join(f"{n}\n" for n in range(1, 11)))
            if ended:
                printer.end(attempt)
                await over(engine, job)
            assert await read(tail(engine, job, after_line=8)) == ([(1, "9"), (1, "10")], True)
            assert await read(tail(engine, job, tail_lines=2)) == ([(1, "9"), (1, "10")], True)
            assert len((await read(tail(engine, job, tail_lines=99)))[0]) == 10
            assert await read(tail(engine, job, after_line=99)) == ([], True)
            if not ended:
                printer.end(attempt)

    run(scenario())


async def over(engine, job):
    job, met = await engine.wait("demo", job.job_id, after_sequence=None, timeout_s=20)
    assert met
    return job


def test_a_follower_goes_on_to_the_next_attempt(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (_, engine, printer):
            job = await submit(engine, max_attempts=3)
            following = asyncio.create_task(read(tail(engine, job, follow=True)))
            for number in (1, 2):
                attempt = await printer.launched.get()
                printer.print(attempt, f"attempt {number}\n")
                printer.end(attempt, fails())
            last = await printer.launched.get()
            printer.print(last, "attempt 3\n")
            printer.end(last)
            assert await following == ([(n, f"attempt {n}") for n in (1, 2, 3)], True)
            for number in (1, 2, 3):
                for follow in (False, True):
                    lines = await read(tail(engine, job, attempt=number, follow=follow))
                    assert lines == ([(number, f"attempt {number}")], True)

    run(scenario())


def test_a_follower_of_one_attempt_ends_with_it(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (_, engine, printer):
            job = await submit(engine, max_attempts=2)
            following = asyncio.create_task(read(tail(engine, job, attempt=1, follow=True)))
            attempt = await printer.launched.get()
            printer.print(attempt, "one\n")
            printer.end(attempt, fails())
            assert await following == ([(1, "one")], True)
            printer.end(await printer.launched.get())

    run(scenario())


def test_a_follower_of_an_attempt_that_never_comes_ends_with_the_job(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (_, engine, printer):
            job = await submit(engine)
            following = asyncio.create_task(read(tail(engine, job, attempt=2, follow=True)))
            printer.end(await printer.launched.get())
            assert await following == ([], True)

    run(scenario())


def test_an_attempt_that_has_not_begun_is_refused_without_follow(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (house, engine, _):
            house.dispatcher.paused = True
            job = await submit(engine)
            with pytest.raises(InvalidSpecError, match="the job is at attempt 0"):
                await read(tail(engine, job, attempt=1))

    run(scenario())


def test_the_log_becomes_an_artifact_and_its_file_goes(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (_, engine, printer):
            job = await submit(engine)
            attempt = await printer.launched.get()
            printer.print(attempt, "one\n", "stderr")
            printer.end(attempt)
            await over(engine, job)
            page = await engine.library.list_artifacts(ArtifactQuery("demo", job.job_id))
            (artifact,) = page.items
            assert artifact.artifact_id == "logs/attempt-1.jsonl"

            async def gone():
                return not (tmp_path / "logs" / "demo" / job.job_id).exists()

            await until(gone)
            assert await read(tail(engine, job)) == ([(1, "one")], True)

    run(scenario())


def test_what_a_cancelled_attempt_says_last_is_told(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (_, engine, printer):
            job = await submit(engine)
            attempt = await printer.launched.get()
            printer.print(attempt, "one\n")
            following = asyncio.create_task(read(tail(engine, job, follow=True)))
            await engine.cancel("demo", job.job_id, requester="me", reason="", force=True)
            assert (await over(engine, job)).status is JobStatus.CANCELLED
            assert await following == ([(1, "one"), (1, "last words")], True)

    run(scenario())


def test_a_log_that_its_server_did_not_finish_is_read_after_the_next_start(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (house, engine, printer):
            job = await submit(engine, max_attempts=1)
            attempt = await printer.launched.get()
            printer.print(attempt, "one\n")
            # As after a kill: the attempt never tells its end.
            house.ledger.concluded = lambda *_, **__: None
        async with printing(tmp_path) as (house, engine, _):
            await over(engine, job)
            assert await read(tail(engine, job)) == ([(1, "one")], True)
            page = await engine.library.list_artifacts(ArtifactQuery("demo", job.job_id))
            assert [one.artifact_id for one in page.items] == ["logs/attempt-1.jsonl"]

    run(scenario())


def test_a_draining_server_sends_the_follower_away(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (house, engine, printer):
            job = await submit(engine)
            await printer.launched.get()
            following = asyncio.create_task(read(tail(engine, job, follow=True)))
            await asyncio.sleep(0)
            await house.drain()
            with pytest.raises(DrainingError):
                await following

    run(scenario())


def test_a_tail_leaves_nothing_behind(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (house, engine, printer):
            job = await submit(engine)
            attempt = await printer.launched.get()
            printer.print(attempt, "one\n")
            stream = tail(engine, job, follow=True)
            await next_line(stream)
            assert (house.hub.watchers, house.line_hub.watchers) == (1, 1)
            await stream.aclose()
            assert (house.hub.watchers, house.line_hub.watchers) == (0, 0)
            printer.end(attempt)

    run(scenario())


def test_a_cut_at_any_frame_can_be_gone_on_from(tmp_path):
    async def scenario():
        async with printing(tmp_path) as (_, engine, printer):
            job = await submit(engine)
            attempt = await printer.launched.get()
            text = "".join(f"{n} {'x' * 1000}\n" for n in range(1, 1001))
            printer.print(attempt, text)
            printer.end(attempt)
            await over(engine, job)
            seen, after = [], 0
            while after < 1000:
                stream = tail(engine, job, after_line=after, follow=True)
                frame = await anext(stream)
                await stream.aclose()
                seen += [line.line for line in frame.lines]
                after = seen[-1]
            assert seen == list(range(1, 1001))

    run(scenario())
