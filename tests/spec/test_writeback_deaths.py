"""Where writeback kills the kernel: outcomes with names, and twins that live."""

from builders import (
    cache,
    drive,
    effects_of,
    refused,
    tree,
    write,
)
from writebacks import EAGER, FLUSH, broken, used

from writecache_spec.effects import Broken, Reason
from writecache_spec.events import (
    EndioTake,
    FlushWork,
    Suspend,
    WritebackWork,
)
from writecache_spec.ordered import OrderedMap
from writecache_spec.step import step


def test_the_oldest_block_freed_by_its_own_commit_is_the_end() -> None:
    wc = write(write(cache(EAGER), 10), 9, 2)
    assert tree(wc) == {9: (1,), 10: (0, 2)}
    assert broken(wc) is Reason.FREED_ENTRY


def test_a_run_over_a_duplicate_is_the_end() -> None:
    wc = used(10, 40, 41, 11)
    entries = wc.entries.set(2, wc.entries[0]._replace(seq_count=1, lru_key=9))
    wc = wc._replace(
        entries=entries,
        tree=OrderedMap([(10, (0, 2)), (11, (3,)), (40, (1,))]),
        lru=OrderedMap([(0, 0), (1, 1), (3, 3), (9, 2)]),
        freelist_low_watermark=8,
    )
    assert broken(wc) is Reason.RUN_NOT_CONTIGUOUS


def test_an_older_version_that_nobody_copies_is_the_end() -> None:
    wc = used(10, 20)
    wc = wc._replace(
        entries=wc.entries.set(1, wc.entries[1]._replace(original_sector=10)),
        tree=OrderedMap([(10, (1, 0))]),
        freelist_low_watermark=8,
    )
    assert broken(wc) is Reason.OLDER_ENTRY_NOT_IN_PROGRESS


def test_taking_a_block_that_is_being_copied_is_the_end() -> None:
    wc = used(10, 20)
    busy = wc.entries.set(0, wc.entries[0]._replace(write_in_progress=True))
    assert broken(wc._replace(entries=busy, freelist_low_watermark=8)) is (
        Reason.WRITEBACK_OF_BLOCK_IN_PROGRESS
    )


def test_a_full_writeback_of_an_empty_tree_is_the_end() -> None:
    wc = used(10)._replace(tree=OrderedMap(), writeback_all=1)
    assert broken(wc) is Reason.EMPTY_TREE


def test_going_on_from_nowhere_is_the_end() -> None:
    wc = used(10)
    wc = wc._replace(lru=OrderedMap([(-1, 0), (0, 0)]), writeback_all=1)
    assert broken(wc) is Reason.UNINITIALISED_NEXT


def test_the_twins_without_damage_do_not_die() -> None:
    for wc in (write(used(10, options=EAGER), 9, 1), used(10, 11), used(10, 20)):
        after = step(drive(wc, FLUSH), WritebackWork())
        assert not any(isinstance(effect, Broken) for effect in after.effects)
        assert after.state.writeback_size == len(wc.tree)


def test_only_a_suspend_makes_a_pass_quiet() -> None:
    wc = used(*range(0, 200, 2), n_blocks=100, options=EAGER)
    wc = drive(wc, Suspend())
    assert effects_of(wc, WritebackWork()) == ()
    assert refused(wc, EndioTake()) == "no copy has ended"
    assert step(wc, FlushWork()).state.suspended
