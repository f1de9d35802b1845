"""Worlds: what can happen in them, what a crash leaves, and what the contract says of it."""

from dataclasses import replace
from random import Random

import pytest

from writecache_models import turns
from writecache_models.candidates import Turn, candidates
from writecache_models.canonical import key
from writecache_models.recovery import Judge, Recoveries, without_names
from writecache_models.symbolic import Disk, Remains, ways
from writecache_models.turns import turn
from writecache_models.walking import HANG, Bounds, Walker, Wrong, blame, usual_ops
from writecache_models.world import Setting, World, after_crash, new_world, remains, with_memory
from writecache_spec.invariants import UNDER_DEVICE_MAPPER, UNTIL_THE_COUNT_WRAPS, violated
from writecache_spec.profile import PROFILES
from writecache_spec.repairs import Repair
from writecache_spec.units import ByteCount

PROFILE = PROFILES["1.6.0"]
REPAIRED = Setting(PROFILE.repaired(), "0", 3, 3)
WRITTEN: tuple[Turn, ...] = (("open",), ("begin", "write", 0, 2), ("map", 0), ("io", 0, False))
FLUSHED: tuple[Turn, ...] = (
    *WRITTEN, ("begin", "flush"), ("map", 1), ("flush thread", None), ("map", 1), ("io", 0, False),
)  # fmt: skip


def after(setting: Setting, path: tuple[Turn, ...]) -> World:
    world = new_world(setting)
    for event in path:
        happened = turn(setting, world, event)
        assert happened is not None, event
        assert happened.violations == ()
        world = happened.world
    return world


def walker(setting: Setting = REPAIRED, **bounds: int) -> Walker:
    return Walker(setting, Bounds(usual_ops(setting), **bounds))


def test_a_disk_keeps_what_is_durable_and_what_is_not() -> None:
    disk = Disk.of((0, 0)).write([(0, 5), (0, 6)])
    assert (disk.read(0), disk.latest()) == (6, (6, 0))
    assert ways(disk, ((1, 9),)) == [(0, 5, 6), (0, 9)]
    assert disk.write([(0, 7)], fua=True) == Disk.of((7, 0))
    assert disk.flush() == Disk.of((6, 0))
    # What failed may be there after a crash, and is not what is read.
    assert disk.fail([(1, 3)]).read(1) == 0
    assert ways(disk.fail([(1, 3)]), ()) == [(0, 5, 6), (0, 3)]
    # Writing what is durable already leaves nothing to chance.
    assert Disk.of((4,)).write([(0, 4)]) == Disk.of((4,))


def test_remains_are_every_combination() -> None:
    left = Remains(((1, 2), (3,)), ((0, 5, 6),))
    images = list(left.images())
    assert len(images) == len(set(images)) == left.n_images() == 6


def test_what_is_in_flight_may_be_there_and_may_not() -> None:
    world = after(REPAIRED, WRITTEN[:3])
    assert [len(one) for one in remains(world, REPAIRED.shape).cache] == [1, 2, 2, 1]


def test_a_flushed_write_survives_and_an_unflushed_one_may_not() -> None:
    judge = Judge(REPAIRED)
    for path, reads in ((WRITTEN, 1), (FLUSHED, 1)):
        world = after(REPAIRED, path)
        images = list(remains(world, REPAIRED.shape).images())
        found = {judge.recoveries.of(image).reads[0] for image in images}
        assert len(found) == reads
    written, flushed = (
        Recoveries(REPAIRED).of(next(remains(after(REPAIRED, path), REPAIRED.shape).images()))
        for path in (WRITTEN, FLUSHED)
    )
    assert written.reads == ((0, 0, 0),)
    assert flushed.reads == ((1, 2, 0),)


def test_a_world_goes_on_after_a_crash() -> None:
    world = after(REPAIRED, FLUSHED)
    image = next(remains(world, REPAIRED.shape).images())
    again = after_crash(world, image)
    assert (again.wc, again.clients, again.n_crashes) == (None, (), 1)
    opened = turn(REPAIRED, again, ("open",))
    assert opened is not None
    assert opened.violations == ()


def test_equal_worlds_have_equal_keys_whatever_their_names() -> None:
    """Another write of the same block first, overwritten without a trace."""
    once = after(REPAIRED, (("open",), ("begin", "read", 0, 3), ("map", 0), ("io", 0, False)))
    read = replace_begun(once)
    assert key(replace_begun(after(REPAIRED, (("open",),)))) == key(read)
    written = (*WRITTEN[:3], ("io", 0, False))
    later = (("open",), ("begin", "flush"), ("map", 0), ("flush thread", None), ("map", 0),
             ("io", 0, False), ("begin", "write", 0, 2), ("map", 1), ("io", 0, False))  # fmt: skip
    assert key(replace_begun(after(REPAIRED, written))) == key(
        replace_begun(after(REPAIRED, later))
    )
    assert key(after(REPAIRED, WRITTEN)) != key(after(REPAIRED, FLUSHED))


def replace_begun(world: World) -> World:
    """As if equally much had begun."""
    return world._replace(n_begun=0)


def test_pairs_are_equal_up_to_names() -> None:
    one = (((5, 0), (7,)), (frozenset({5}), frozenset({0, 7})))
    other = (((9, 0), (3,)), (frozenset({9}), frozenset({0, 3})))
    third = (((9, 0), (9,)), (frozenset({9}), frozenset({0, 3})))
    assert without_names(*one) == without_names(*other) != without_names(*third)  # type: ignore[arg-type]


@pytest.mark.parametrize("profile", sorted(PROFILES))
@pytest.mark.parametrize("failures", [0, 1, 2])
def test_the_repaired_reference_keeps_the_contract_on_walks(profile: str, failures: int) -> None:
    setting = Setting(PROFILES[profile].repaired(), "0", 3, 3)
    for seed in range(6):
        bounds = Bounds(usual_ops(setting), 1 + seed % 3, failures)
        one = Walker(setting, bounds)
        assert one.walk(Random(f"{profile}-{failures}-{seed}"), 80) is None


def test_the_invariants_hold_in_every_world_of_a_walk() -> None:
    one = walker(n_clients=3)
    seen = []

    def note(world: World, _event: Turn) -> None:
        also = UNTIL_THE_COUNT_WRAPS + UNDER_DEVICE_MAPPER
        assert world.wc is None or violated(world.wc, also) == ()
        seen.append(world)

    one.note = note
    for seed in range(30):
        assert one.walk(Random(seed), 80) is None
    assert len(seen) == one.n_steps > 1000


def test_a_missing_repair_is_found_shrunk_and_blamed() -> None:
    missing = frozenset({Repair.FUA_COMMITS})
    setting = replace(REPAIRED, profile=PROFILE.repaired(without=missing))
    one = walker(setting, n_clients=1)
    found = next(filter(None, (one.walk(Random(seed), 60) for seed in range(99))))
    shrunk = one.shrink(found)
    assert shrunk.what == found.what
    assert one.replay(shrunk.path) == shrunk
    assert [event[0] for event in shrunk.path] == ["open", "begin", "map", "io"]
    assert shrunk.path[1] == ("begin", "write_fua", 0, 1)
    assert blame(setting, one.bounds, shrunk) == [Repair.FUA_COMMITS]


def test_a_hang_is_found() -> None:
    missing = frozenset({Repair.WAKE_AFTER_ERROR})
    setting = replace(REPAIRED, profile=PROFILE.repaired(without=missing))
    path = (("open",), ("begin", "write", 0, 2), ("map", 0), ("io", 0, False),
            ("begin", "message", "flush"), ("work", None), ("work", None), ("copy", 0, False),
            ("endio take", 0), ("work", None), ("endio", None))  # fmt: skip
    assert walker(setting, failures=1).replay(path) == Wrong(HANG, path)
    assert walker(failures=1).replay(path) is None


def test_metadata_that_is_written_over_data_is_found() -> None:
    made = turns.Playing(REPAIRED, new_world(REPAIRED))
    # As if data began where the metadata does.
    made.shape = REPAIRED.shape._replace(data_start=0)
    result = made.play(("open",))
    assert result is not None
    assert "metadata is written over data" in result.violations


def test_a_replay_leaves_out_what_cannot_be() -> None:
    """What is no candidate, even where it would seem to go."""
    impossible = (
        ("io", 0, False),
        ("map", 7),
        ("copy", 3, False),
        ("work", None),
        ("timer", "autocommit"),
        ("go on",),
        ("begin", "open"),
        ("begin", "resume"),
        ("io", 0, True),
    )
    one = walker()
    assert one.replay((("open",), *impossible)) is None
    # A flush message does not end before its work is done.
    path = (*WRITTEN, ("begin", "message", "flush"), ("go on",))
    assert one.replay(path) is None


def test_an_event_that_is_not_possible_is_none_and_one_that_is_not_known_an_error() -> None:
    world = after(REPAIRED, (("open",),))
    assert turn(REPAIRED, world, ("flush thread", None)) is None
    with pytest.raises(ValueError, match="no such event"):
        turn(REPAIRED, world, ("sing",))
    with pytest.raises(ValueError, match="no such operation"):
        turn(REPAIRED, world, ("begin", "sing"))


def test_candidates_list_every_io_that_may_fail() -> None:
    world = after(REPAIRED, WRITTEN[:3])
    assert ("io", 0, True) not in list(candidates(REPAIRED, world, (), 0))
    assert ("io", 0, True) in list(candidates(REPAIRED, world, (), 1))


def test_a_setting_of_a_size_that_no_device_has_is_refused() -> None:
    assert Setting(PROFILE, "0", 4, 6, ByteCount(1024)).shape == (4, 2, 1)
    with pytest.raises(AssertionError):
        _ = Setting(PROFILE, "0", 0, 6).shape


SUSPENDED: tuple[Turn, ...] = (
    ("open",), ("begin", "write", 0, 1), ("map", 0), ("io", 0, False),
    ("begin", "suspend"), ("go on",),
)  # fmt: skip
LAZY = "4 high_watermark 100 low_watermark 100"


@pytest.mark.parametrize("op", ["resume", "open"])
def test_metadata_that_cannot_be_read_shows_stale_data(op: str) -> None:
    setting = Setting(PROFILE, LAZY, 3, 2)
    happened = turn(setting, after(setting, SUSPENDED), ("begin", op, "unread"))
    assert happened is not None
    assert happened.violations == ("what is read is not the last that was written",)


@pytest.mark.parametrize("pmem_mode", [False, True])
@pytest.mark.parametrize("op", ["resume", "open"])
def test_a_repaired_resume_without_metadata_is_refused_and_a_later_one_has_everything(
    op: str, pmem_mode: bool
) -> None:
    kernel = with_memory(PROFILE) if pmem_mode else PROFILE
    setting = Setting(kernel.repaired(), LAZY, 3, 2, pmem_mode=pmem_mode)
    path = tuple(one for one in SUSPENDED if not (pmem_mode and one[0] == "io"))
    refused = after(setting, (*path, ("begin", op, "unread")))
    assert refused.wc is not None
    assert (refused.wc.suspended, refused.wc.error, refused.n_failed) == (True, False, 1)
    may_begin = list(candidates(setting, refused, usual_ops(setting), 2))
    assert ("begin", "read", 0, 2) not in may_begin
    for again in ("resume", "open"):
        assert ("begin", again) in may_begin
        happened = turn(setting, refused, ("begin", again))
        assert happened is not None
        assert happened.violations == ()
        assert happened.world.wc is not None
        assert dict(happened.world.wc.tree.items()) == {0: (0,)}


def test_a_resume_reads_where_no_io_may_fail() -> None:
    world = after(REPAIRED, (("open",), ("begin", "suspend"), ("go on",)))
    ops = (("resume",), ("open",))
    begin = [("begin", *op) for op in ops]
    assert list(candidates(REPAIRED, world, ops, 0)) == begin
    assert not Walker(REPAIRED, Bounds(ops)).possible(world, ("begin", "open", "unread"))
    failing = Walker(REPAIRED, Bounds(ops, failures=1))
    assert failing.possible(world, ("begin", "open", "unread"))
