"""Log lines, as they go out."""

from jobplane.engine.domain.log_line import LogFrame
from jobplane.service.convert.scalar import timestamp_to_wire
from jobplane.v1 import job_service_pb2 as wire


def log_frame_to_wire(frame: LogFrame) -> wire.TailJobLogsResponse:
    """Give the frame."""
    lines = [
        wire.TailJobLogsResponse.LogLine(
            line=line.line,
            attempt=frame.attempt,
            time=timestamp_to_wire(line.time),
            stream=line.stream,
            text=line.text,
        )
        for line in frame.lines
    ]
    return wire.TailJobLogsResponse(lines=lines, end=frame.end)
