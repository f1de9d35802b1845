"""The log of what is written to a device: what may stand where in it."""

import pytest

from writecache_models.log_lines import FLUSH, FUA, Entry, Line, points_of
from writecache_models.write_log import Contradiction, Log

METADATA, DATA, HOME = (Entry(0, sector, 1, bytes([sector])) for sector in (1, 2, 3))
SUPERBLOCK = Entry(FUA, 0, 1, b"s")


def render(entry: Entry) -> Line:
    return (entry.flags, entry.sector, entry.n_sectors, entry.content.hex())


FLUSHES = Entry(FLUSH)
F = render(FLUSHES)


def seen(*lines: Line | Entry) -> Log:
    """A log of which this is to come."""
    return Log().begin_step(
        points_of(list(render(one) if isinstance(one, Entry) else one) for one in lines)
    )


def test_what_is_complete_is_logged_by_the_next_flush() -> None:
    log = seen(METADATA, F).write(METADATA, render).flush(FLUSHES, range(9), False, render)
    assert log.ahead == ()
    for others in ([F], [F, METADATA, F], [DATA, METADATA, F]):
        with pytest.raises(Contradiction):
            seen(*others).write(METADATA, render).flush(FLUSHES, range(9), False, render)


def test_the_order_before_a_flush_is_free() -> None:
    for lines in ([METADATA, DATA, F], [DATA, METADATA, F]):
        log = seen(*lines).begin_data(DATA).write(METADATA, render)
        assert log.flush(FLUSHES, range(9), True, render).ahead == ()


def test_data_in_flight_may_be_logged_later_than_a_flush_that_does_not_wait_for_them() -> None:
    log = seen(METADATA, F, DATA, F).begin_data(DATA).write(METADATA, render)
    log = log.flush(FLUSHES, range(9), False, render)
    assert log.end_data(render).flush(FLUSHES, range(9), False, render).ahead == ()


def test_data_in_flight_are_logged_before_a_flush_that_waits_for_them() -> None:
    with pytest.raises(Contradiction):
        seen(F, DATA, F).begin_data(DATA).flush(FLUSHES, range(9), True, render)


def test_data_are_logged_before_the_superblock_that_makes_them_valid() -> None:
    log = seen(METADATA, F, SUPERBLOCK, DATA, F).begin_data(DATA).write(METADATA, render)
    with pytest.raises(Contradiction):
        log.flush(FLUSHES, range(9), False, render).write_fua(SUPERBLOCK, render)


def test_a_copy_is_logged_before_the_flush_that_comes_after_its_end() -> None:
    early = seen(HOME, F, F).begin_copy((HOME,)).flush(FLUSHES, range(9), False, render)
    assert early.end_copy((HOME,), render).flush(FLUSHES, range(9), False, render).ahead == ()
    late = seen(F, HOME, F).begin_copy((HOME,)).flush(FLUSHES, range(9), False, render)
    assert late.end_copy((HOME,), render).flush(FLUSHES, range(9), False, render).ahead == ()
    with pytest.raises(Contradiction):
        seen(F, HOME, F).begin_copy((HOME,)).end_copy((HOME,), render)


def test_copies_end_in_the_order_of_the_log() -> None:
    other = Entry(0, 4, 1, b"4")
    log = seen(other, HOME, F).begin_copy((HOME,)).begin_copy((other,))
    for later in (log, log.flush(FLUSHES, range(9), False, render)):
        assert later.places(render) == {render(other): 0, render(HOME): 1}


def test_a_superblock_is_logged_at_once_and_only_there() -> None:
    assert (
        seen(SUPERBLOCK, F)
        .write_fua(SUPERBLOCK, render)
        .flush(FLUSHES, range(9), False, render)
        .ahead
        == ()
    )
    for lines in ([F, SUPERBLOCK], [METADATA, F], [SUPERBLOCK._replace(flags=0), F], []):
        with pytest.raises(Contradiction):
            seen(*lines).write_fua(SUPERBLOCK, render)


def test_data_with_fua_are_logged_whenever_they_are_complete() -> None:
    data = DATA._replace(flags=FUA)
    for lines in ([data, SUPERBLOCK], [SUPERBLOCK, data]):
        log = seen(*lines).begin_data(data).write_fua(SUPERBLOCK, render)
        assert log.end_data(render).ahead == ()
    with pytest.raises(Contradiction):
        seen(SUPERBLOCK).begin_data(data).end_data(render)


def test_without_a_log_to_follow_everything_is_complete_at_once() -> None:
    log = (
        Log()
        .begin_data(DATA)
        .begin_copy((HOME,))
        .write(METADATA, render)
        .flush(FLUSHES, range(9), False, render)
    )
    assert set(log.told) == {DATA, HOME, METADATA, FLUSHES}
    assert log.end_copy((HOME,), render) == log._replace(early=())


def both(*lines: Line | Entry) -> Log:
    """The log of two devices, of which the cache begins at sector 1."""
    return seen(*lines)._replace(home=F)


C = Entry(FLUSH, 1)
CACHE = range(1, 9)


def test_a_flush_of_the_origin_may_come_while_a_commit_is_under_way() -> None:
    log = both(HOME, METADATA, C, F, SUPERBLOCK).begin_copy((HOME,)).write(METADATA, render)
    log = log.flush(C, CACHE, False, render).write_fua(SUPERBLOCK, render)
    log = log.end_copy((HOME,), render).flush(FLUSHES, range(0), False, render)
    assert log.ahead == ()


def test_it_does_not_stand_for_copies_that_come_after_it() -> None:
    other = Entry(0, 4, 1, b"4")
    log = both(HOME, METADATA, C, F, SUPERBLOCK, other, F).begin_copy((HOME,)).begin_copy((other,))
    log = log.write(METADATA, render).flush(C, CACHE, False, render).write_fua(SUPERBLOCK, render)
    with pytest.raises(Contradiction):
        log.end_copy((HOME,), render).end_copy((other,), render)
    log = log.end_copy((HOME,), render).flush(FLUSHES, range(0), False, render)
    log = log.end_copy((other,), render).flush(FLUSHES, range(0), False, render)
    assert log.ahead == ()


def test_one_log_tells_the_flushes_of_its_devices_apart() -> None:
    with pytest.raises(Contradiction):
        both(METADATA, F).write(METADATA, render).flush(C, CACHE, False, render)
    with pytest.raises(Contradiction):
        both(METADATA, C).flush(FLUSHES, range(0), False, render)


def test_a_flush_of_the_origin_may_come_while_data_with_fua_are_written() -> None:
    data = DATA._replace(flags=FUA)
    log = both(HOME, F, data, F).begin_copy((HOME,)).begin_data(data).end_data(render)
    assert log.covered == (HOME,)
    assert len(log.ahead or ()) == 1
    with pytest.raises(Contradiction):
        both(F, data).begin_data(data).end_data(render)


def test_a_copy_of_what_has_changed_since_is_no_part_of_a_log_that_has_the_old() -> None:
    with pytest.raises(Contradiction):
        seen(HOME, F).begin_copy((HOME,)).end_copy((HOME._replace(content=b"new"),), render)
    changed = HOME._replace(content=b"new")
    assert changed in Log().begin_copy((HOME,)).end_copy((changed,), render).complete
