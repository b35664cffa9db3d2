import asyncio

from bench.rate import rate, threads_rate, window_rate


def test_calls_are_made_from_as_many_places_as_asked():
    inside = most = 0

    async def call():
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0)
        inside -= 1

    found = asyncio.run(rate(call, 8, 0.02))
    assert most == 8
    assert found.per_s > 0
    assert found.p50_s > 0


def test_threads_call_until_the_time_is_over():
    calls = []
    found = threads_rate(lambda: calls.append(1), 4, 0.02)
    assert len(calls) >= 4
    assert found.per_s > 0


def test_a_window_holds_so_many_calls_and_finishes_each_in_order():
    submitted, finished, most = [], [], 0

    def submit():
        nonlocal most
        submitted.append(len(submitted))
        most = max(most, len(submitted) - len(finished))
        return submitted[-1]

    window_rate(submit, finished.append, 16, 0.02)
    assert most == 16
    assert finished == submitted
