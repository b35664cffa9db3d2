"""Seats: the caps on open watches."""

import asyncio

import pytest

from jobplane.engine.domain.errors import TooManyWatchesError
from jobplane.service.seats import Seats


def test_a_principal_has_no_more_seats_than_its_own():
    seats = Seats(per_principal=1, total=5)
    with seats.take("a"), seats.take("b"):
        with pytest.raises(TooManyWatchesError) as caught, seats.take("a"):
            pass
        assert caught.value.limit == 1


def test_all_principals_share_the_seats_of_the_server():
    seats = Seats(per_principal=5, total=2)
    with seats.take("a"), seats.take("b"):
        with pytest.raises(TooManyWatchesError) as caught, seats.take("c"):
            pass
        assert caught.value.limit == 2


def test_a_seat_is_free_again_whatever_ends_the_watch():
    seats = Seats(per_principal=1, total=1)
    with pytest.raises(ValueError, match="broken"), seats.take("a"):
        raise ValueError("broken")
    with seats.take("a"):
        assert seats.taken == 1
    assert seats.taken == 0


def test_waiting_for_the_last_watch_ends_with_it():
    async def scenario() -> bool:
        seats = Seats(per_principal=1, total=1)
        with seats.take("a"):
            waiter = asyncio.create_task(seats.wait_empty())
            await asyncio.sleep(0)
            assert not waiter.done()
        await asyncio.wait_for(waiter, 5)
        return True

    assert asyncio.run(scenario())
