"""Lists, counts and filters."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from jobplane.conformance.refusal import blames, refused
from jobplane.conformance.rule import Chapter, expect, expect_equal
from jobplane.v1 import job_pb2
from jobplane.v1 import job_service_pb2 as wire

if TYPE_CHECKING:
    from jobplane.conformance.server import Server

CHAPTER = Chapter("Lists")
rule = CHAPTER.rule

MAX_PAGE_BYTES = 3 * 1024 * 1024


class _Shelf:
    """Seven jobs under a label of their own, each a little different."""

    def __init__(self, server: Server, label: str) -> None:
        self._server = server
        self.filter = f'labels.shelf = "{label}"'
        self._label = label
        self.jobs: list[job_pb2.Job] = []

    async def fill(self) -> _Shelf:
        for number in range(7):
            labels = {"shelf": self._label, "number": str(number)}
            if number % 2:
                labels["odd"] = "yes"
            self.jobs.append(
                await self._server.submit_queued(
                    priority=number * 100, labels=labels, job_set=f"set-{number % 3}"
                )
            )
        await self._server.cancel(self.jobs[0].name)
        return self

    async def page(self, **fields: object) -> wire.ListJobsResponse:
        fields.setdefault("filter", self.filter)
        request = wire.ListJobsRequest(project=self._server.project, **fields)  # type: ignore[arg-type]  # by name
        response: wire.ListJobsResponse = await self._server.call(
            self._server.jobs.ListJobs, request
        )
        return response

    async def names(self, **fields: object) -> list[str]:
        """Names over all pages."""
        found: list[str] = []
        token = ""
        while True:
            page = await self.page(page_token=token, **fields)
            found += [job.name for job in page.jobs]
            token = page.next_page_token
            if not token:
                return found


async def _shelf(server: Server, name: str) -> _Shelf:
    return await _Shelf(server, f"{name}-{server.run_id}").fill()


@rule("list-pages", "Pages hold each job once, in order, and the last one has no token.")
async def _pages(server: Server) -> None:
    shelf = await _shelf(server, "pages")
    due = [job.name for job in reversed(shelf.jobs)]
    for size in (1, 3, 7, 50):
        expect_equal(await shelf.names(page_size=size), due, f"pages of {size}")


@rule("list-order", "order_by orders by each documented field, both ways.")
async def _order(server: Server) -> None:
    shelf = await _shelf(server, "order")
    made = [job.name for job in shelf.jobs]
    for order, due in (
        ("create_time", made),
        ("create_time desc", made[::-1]),
        ("priority", made),
        ("priority desc", made[::-1]),
        # The first one was cancelled after all were made.
        ("update_time desc", [made[0], *made[:0:-1]]),
        ("finish_time desc", [made[0], *made[:0:-1]]),
    ):
        expect_equal(await shelf.names(order_by=order, page_size=2), due, f"order_by {order!r}")


@rule("list-while-it-grows", "Pages read while jobs are made repeat none and skip no older one.")
async def _while_it_grows(server: Server) -> None:
    shelf = await _shelf(server, "grows")
    label = shelf.filter.partition('"')[2].rstrip('"')
    seen: list[str] = []
    token = ""
    while True:
        page = await shelf.page(page_size=2, page_token=token)
        seen += [job.name for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
        await server.submit_queued(labels={"shelf": label})
    expect_equal(len(seen), len(set(seen)), "the number of different jobs")
    missing = {job.name for job in shelf.jobs} - set(seen)
    expect(not missing, f"older jobs were skipped: {sorted(missing)}")


@rule("list-token", "A page token that was altered, or is of another query, is refused.")
async def _token(server: Server) -> None:
    shelf = await _shelf(server, "token")
    token = (await shelf.page(page_size=2)).next_page_token
    expect(bool(token), "the first of several pages has no token")
    altered = ("B" if token[0] == "A" else "A") + token[1:]
    for fields in (
        {"page_token": altered},
        {"page_token": token[:-2]},
        {"page_token": token, "filter": "status = QUEUED"},
        {"page_token": token, "order_by": "priority"},
    ):
        await refused(shelf.page(**fields), "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN")


@rule("list-page-size", "A negative page_size is refused; one over 1000 is cut down.")
async def _page_size(server: Server) -> None:
    shelf = await _shelf(server, "size")
    call = shelf.page(page_size=-1)
    blames(await refused(call, "INVALID_ARGUMENT", "INVALID_SPEC"), "page_size")
    expect_equal(len((await shelf.page(page_size=100_000)).jobs), 7, "the jobs of the page")


@rule("list-view", "BASIC, the default of lists, leaves out spec and result; FULL has them.")
async def _view(server: Server) -> None:
    shelf = await _shelf(server, "view")
    basic = (await shelf.page(page_size=1)).jobs[0]
    expect(not basic.HasField("spec"), "BASIC has a spec")
    full = (await shelf.page(page_size=1, view=wire.JOB_VIEW_FULL)).jobs[0]
    expect(full.spec.HasField("probe"), "FULL has no spec")


@rule("list-bytes", "A page is cut before it exceeds 3 MiB, and the rest follows.")
async def _bytes(server: Server) -> None:
    label = f"bytes-{server.run_id}"
    wide = {f"filler-{number}": "x" * 250 for number in range(60)}
    count = 260
    for first in range(0, count, 130):
        items = [
            wire.BatchSubmitJobsRequest.Item(
                request=server.submission(labels={**wide, "bytes": label})
            )
            for _ in range(first, first + 130)
        ]
        request = wire.BatchSubmitJobsRequest(project=server.project, items=items)
        await server.call(server.jobs.BatchSubmitJobs, request)
    shelf = _Shelf(server, label)
    names: list[str] = []
    token = ""
    while True:
        page = await shelf.page(
            filter=f'labels.bytes = "{label}"', page_size=1000, page_token=token
        )
        size = page.ByteSize()
        expect(size <= MAX_PAGE_BYTES, f"a page has {size} bytes")
        names += [job.name for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
    expect_equal(len(set(names)), count, "the number of jobs")


@rule("filter-grammar", "Filters select as the grammar says: OR binds tighter than AND.")
async def _grammar(server: Server) -> None:
    shelf = await _shelf(server, "grammar")
    for text, due in (
        ("status = CANCELLED", {0}),
        ("status != CANCELLED", {1, 2, 3, 4, 5, 6}),
        ("phase = FINISHED", {0}),
        ("done = true", {0}),
        ("priority >= 300 AND priority < 500", {3, 4}),
        ("labels.odd = yes", {1, 3, 5}),
        ("labels:odd", {1, 3, 5}),
        ("NOT labels:odd", {0, 2, 4, 6}),
        ("-labels:odd", {0, 2, 4, 6}),
        ("labels.odd != no", {0, 1, 2, 3, 4, 5, 6}),
        ("labels.odd = yes AND priority = 100 OR priority = 300", {1, 3}),
        ("(labels.odd = yes AND priority = 100) OR priority = 200", {1, 2}),
        ("job_set = set-1", {1, 4}),
        ("kind = probe AND queue = default", {0, 1, 2, 3, 4, 5, 6}),
        ('finish_time > "2020-01-01T00:00:00Z"', {0}),
        ('create_time > "2020-01-01T00:00:00Z" AND attempt = 0', {0, 1, 2, 3, 4, 5, 6}),
    ):
        names = await shelf.names(filter=f"{shelf.filter} AND ({text})")
        found = {number for number, job in enumerate(shelf.jobs) if job.name in names}
        expect_equal(found, due, f"what {text!r} selects")


@rule("filter-errors", "A filter that can't be read is refused, with its column.")
async def _filter_errors(server: Server) -> None:
    shelf = _Shelf(server, "none")
    for text in ("status =", "no_such_field = 1", "status = NO_SUCH", "(status = QUEUED", "a"):
        refusal = await refused(shelf.page(filter=text), "INVALID_ARGUMENT", "INVALID_FILTER")
        blames(refusal, "filter")
        expect("column" in refusal.metadata, f"the column in {text!r} is not told")
    refusal = await refused(
        shelf.page(order_by="no_such_field"), "INVALID_ARGUMENT", "INVALID_FILTER"
    )
    blames(refusal, "order_by")


@rule("filter-limits", "A filter of more than 2 KiB, 20 terms or 5 levels is refused.")
async def _filter_limits(server: Server) -> None:
    shelf = _Shelf(server, "none")
    for text in (
        f'display_name = "{"x" * 2100}"',
        " AND ".join(["priority = 1"] * 21),
        "(" * 6 + "priority = 1" + ")" * 6,
    ):
        await refused(shelf.page(filter=text), "INVALID_ARGUMENT", "INVALID_FILTER")


@rule("count-exact", "CountJobs is exact, in all and by group, over the same filter.")
async def _count(server: Server) -> None:
    shelf = await _shelf(server, "count")
    for group, due in (
        ("", {}),
        ("status", {"QUEUED": 6, "CANCELLED": 1}),
        ("kind", {"probe": 7}),
        ("job_set", {"set-0": 3, "set-1": 2, "set-2": 2}),
        ("labels.odd", {"yes": 3, "": 4}),
    ):
        request = wire.CountJobsRequest(project=server.project, filter=shelf.filter, group_by=group)
        counted = await server.call(server.jobs.CountJobs, request)
        expect_equal(counted.total, 7, f"the total by {group or 'nothing'}")
        expect_equal(dict(counted.groups), due, f"the groups by {group or 'nothing'}")


@rule("list-events", "ListJobEvents pages through the history, forwards and backwards.")
async def _list_events(server: Server) -> None:
    job = await server.finished(await server.submit(steps=5, metrics=True))
    for descending in (False, True):
        seen: list[int] = []
        request = wire.ListJobEventsRequest(name=job.name, page_size=3, descending=descending)
        while True:
            page = await server.call(server.jobs.ListJobEvents, request)
            seen += [event.sequence for event in page.events]
            request.page_token = page.next_page_token
            if not page.next_page_token:
                break
        due = list(range(1, job.sequence + 1))
        expect_equal(seen, due[::-1] if descending else due, "the sequences of all pages")


@rule("list-many-readers", "Fifty lists at once all see the same.")
async def _many_readers(server: Server) -> None:
    shelf = await _shelf(server, "readers")
    lists = await asyncio.gather(*(shelf.names() for _ in range(50)))
    due = [job.name for job in reversed(shelf.jobs)]
    expect(all(names == due for names in lists), "one saw something else")
