"""What a refused call leaves behind: nothing."""

import gc
import tracemalloc

from jobplane.v1 import job_service_pb2 as wire

MIB = 1024 * 1024


def test_large_requests_that_are_refused_are_let_go_at_once(server):
    request = wire.SubmitJobRequest(project="demo")
    request.spec.custom.kind = "echo"
    request.spec.custom.params.update({"text": "x" * (3 * MIB)})
    data = request.SerializeToString()
    path = "/jobplane.v1.JobService/SubmitJob"
    server.refusal(path, data)
    # The collector would hide what only cycles keep alive.
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(10):
            server.refusal(path, data)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    assert kept < 10 * MIB
