"""grpc.health.v1 over a real server."""

from grpc_health.v1 import health_pb2 as wire

HEALTH = "/grpc.health.v1.Health/"
SERVING = wire.HealthCheckResponse.SERVING
NOT_SERVING = wire.HealthCheckResponse.NOT_SERVING


def check(server, service: str = "") -> int:
    data = server.call(HEALTH + "Check", wire.HealthCheckRequest(service=service))
    return wire.HealthCheckResponse.FromString(data).status


def test_the_server_and_its_services_are_serving(server):
    assert check(server) == SERVING
    assert check(server, "jobplane.v1.JobService") == SERVING


def test_an_unknown_service_is_not_found(server):
    refused = server.refusal(HEALTH + "Check", wire.HealthCheckRequest(service="nope"))
    assert refused.code == "NOT_FOUND"


def test_a_store_that_takes_no_writes_is_not_serving(server, eventually):
    server.engine.ready = False
    eventually(lambda: check(server) == NOT_SERVING)
    server.engine.ready = True
    eventually(lambda: check(server) == SERVING)


def test_a_shutdown_tells_watchers_and_ends_their_streams(server):
    call = server.stream(HEALTH + "Watch", wire.HealthCheckRequest())
    assert wire.HealthCheckResponse.FromString(next(call)).status == SERVING
    server.stop()
    assert [wire.HealthCheckResponse.FromString(data).status for data in call] == [NOT_SERVING]


def test_the_list_has_every_service_that_is_built(server):
    names = wire.HealthListResponse.FromString(server.call(HEALTH + "List")).statuses
    assert {"", "jobplane.v1.JobService", "jobplane.v1.SystemService"} <= set(names)
