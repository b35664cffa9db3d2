"""What the example of every client prints."""


def assert_whole_history(printed: str, *, status: str | None = None) -> None:
    """Check that a job's durable events came in order, once each, up to the last one."""
    lines = [line.split() for line in printed.splitlines()]
    events = [(int(line[1]), line[2]) for line in lines if line[0] == "event"]
    durable = [event for event in events if event[0] > 0]
    assert [sequence for sequence, _ in durable] == list(range(1, len(durable) + 1)), printed
    assert durable[0][1] == "submitted", printed
    assert durable[-1][1] == "finished", printed
    if status is not None:
        assert ["status", status] in lines, printed
