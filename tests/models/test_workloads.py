"""Workloads: decided by their seed alone, and runnable."""

import os
import subprocess
import sys
from random import Random

import pytest
from builders import tree
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import closed, line, live, machine, tags

from writecache_models.actions import PanicError
from writecache_models.images import DAMAGES, Geometry, crafted_cache
from writecache_models.observations import UnusableStepError, new_machine, perform
from writecache_models.vectors import op_problem
from writecache_models.workloads import FAMILIES, generate
from writecache_models.workloads.aimed import STORIES
from writecache_spec.effects import Reason
from writecache_spec.invariants import violated
from writecache_spec.layout import Superblock
from writecache_spec.profile import PROFILES

QUICK = sorted(set(FAMILIES) - {"sweep"})
PRINT_DIGEST = """
import hashlib
from writecache_models.workloads import FAMILIES, generate
text = "".join(
    line for family in FAMILIES for seed in range(3)
    for line in generate(f"hash-{seed}", family).lines()
)
print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_a_workload_is_decided_by_its_seed_alone() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
    assert generate("1") != generate("2")
    assert generate("1", "plain").steps != generate("2", "plain").steps


KNOWN_DEATHS = {Reason.FREED_ENTRY, Reason.RUN_NOT_CONTIGUOUS, Reason.NOT_PERSISTENT_MEMORY}
AIMED = {story.__name__ for story in STORIES}


def test_every_family_is_drawn() -> None:
    drawn = {generate(str(seed)).extra["family"] for seed in range(400)}
    assert drawn == {name for name, (_, weight) in FAMILIES.items() if weight}


@pytest.mark.parametrize("target", ["1.6.0", "1.4.0"])
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in AIMED])
def test_every_family_makes_runnable_traces(family: str, target: str) -> None:
    done = 0
    for seed in range(1 if family == "sweep" else 5):
        workload = generate(f"run-{seed}", family, target)
        assert all(op_problem(op) is None for op in workload.ops)
        player = new_machine(workload, PROFILES[target])
        for op in workload.ops:
            try:
                perform(player, op, workload.table)
            except UnusableStepError:
                continue
            except PanicError:
                break
            done += 1
    assert done > (4 if family in ("sweep", "pauses") else 20)


def test_what_is_drawn_for_persistent_memory_is_accepted_there() -> None:
    """Most traces are of mode `p`, and of those all but the damaged ones have a device."""
    profile = PROFILES["1.6.0-6.1-amd64"]
    workloads = [generate(f"memory-{seed}", "plain", memory=True) for seed in range(40)]
    modes = [workload.table[0] for workload in workloads]
    assert 20 < modes.count("p") < 40
    assert {"fua", "nofua"} <= {word for each in workloads for word in each.table.split()}
    for workload in workloads:
        player = new_machine(workload, profile)
        assert perform(player, workload.ops[0], workload.table).errno is None


def wraps_soon(found: Superblock) -> bool:
    """After a few commits the count wraps to 0, and every older entry counts as uncommitted.

    No cache gets there in a lifetime; the LRU is then not in the order of the commits."""
    return found.seq_count > 2**64 - 1000


def assert_known(panic: PanicError) -> None:
    """The ways in which the described system is known to die (see the findings)."""
    assert panic.reason in KNOWN_DEATHS


@settings(max_examples=250)
@given(st.sampled_from(QUICK), st.integers(0, 10**9), st.sampled_from(sorted(PROFILES)))
def test_the_invariants_hold_after_every_operation(family: str, seed: int, profile: str) -> None:
    target = PROFILES[profile].version
    memory = PROFILES[profile].environment.persistent_memory
    workload = generate(str(seed), family, target, memory)
    player = new_machine(workload, PROFILES[profile])
    for op in workload.ops:
        try:
            perform(player, op, workload.table)
        except UnusableStepError:
            continue
        except PanicError as panic:
            assert_known(panic)
            return
        if player.wc is not None:
            if wraps_soon(player.wc.superblock):
                return
            assert violated(player.wc) == (), op


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(("write", "write", "write", "read", "discard", "flush", "message")),
        st.integers(0, 15),
        st.integers(1, 6),
    ),
    max_size=40,
)


def duplicated(player_state: object) -> bool:
    return any(len(indices) > 1 for indices in tree(player_state).values())  # type: ignore[arg-type]


@settings(max_examples=400)
@given(
    OPERATIONS,
    st.sampled_from((6, 9, 17)),
    st.sampled_from((100, 50, 0)),
    st.sampled_from(sorted(PROFILES)),
)
def test_reads_return_what_a_dictionary_of_sectors_says(
    operations: list[tuple[str, int, int]], sectors: int, watermark: int, profile: str
) -> None:
    """A discarded sector may hold what it held, or what discarding leaves there: zero.

    Left out: requests that meet two versions of one sector in the cache.  There a write of two
    blocks may overwrite the older version of the second (the next test), and writeback
    panics.  So whenever there are two versions a flush follows, which frees the older one.
    """
    made = machine(
        f"high_watermark {watermark} low_watermark {watermark}",
        profile=profile,
        cache_sectors=sectors,
        origin_sectors=16,
    )
    expected: dict[int, set[int]] = {sector: {0} for sector in range(16)}
    for tag, (name, first, wanted) in enumerate(operations, 1):
        count = min(wanted, 16 - first)
        try:
            if name == "write":
                assert made.write(first, count, tag).errno is None
                expected |= {sector: {tag} for sector in range(first, first + count)}
            elif name == "discard":
                assert made.discard(first, count).errno is None
                for sector in range(first, first + count):
                    expected[sector] = {0, *expected[sector]}
            elif name == "read":
                found = tags(made, first, count)
                assert all(tag in expected[first + i] for i, tag in enumerate(found))
            else:
                outcome = made.flush() if name == "flush" else made.message(("flush",))
                assert outcome.errno is None
        except PanicError as panic:
            assert_known(panic)
            return
        if duplicated(live(made)):
            try:
                made.flush()
            except PanicError as panic:
                assert_known(panic)
                return
        assert not duplicated(live(made))
        assert violated(live(made)) == ()
        assert not live(made).error
    assert all(tag in expected[sector] for sector, tag in enumerate(tags(made, 0, 16)))


def test_a_write_over_two_blocks_loses_data_where_the_second_has_two_versions() -> None:
    """A finding: no crash, no error, and a read returns what was overwritten.

    The newest version of sector 1 lies in block 0, the *older* one of sector 2 in block 1 beside
    it: a write of both goes on from block 0 to block 1, and the newest version of 2 stays stale.
    """
    made = machine("high_watermark 100 low_watermark 100", cache_sectors=8, origin_sectors=16)
    assert live(made).config.n_blocks == 7
    made.write(1, 2, 1)
    made.write(0, 3, 2)
    assert tree(live(made)) == {0: (2,), 1: (0, 3), 2: (1, 4)}
    made.discard(1, 1)
    made.write(9, 1, 3)
    made.write(10, 1, 4)
    made.write(1, 1, 5)
    assert tree(live(made)) == {0: (2,), 1: (0,), 2: (1, 4), 9: (5,), 10: (6,)}
    assert made.write(1, 2, 6).errno is None
    assert tags(made, 0, 3) == [2, 6, 2]
    # Its twin without the older version writes what it was told to.
    made.write(2, 1, 7)
    assert tags(made, 0, 3) == [2, 6, 7]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_crafted_image_opens_or_is_refused(damage: str) -> None:
    opened = 0
    for seed in range(12):
        geometry = Geometry(512, 9, 64)
        image = crafted_cache(Random(f"{damage}-{seed}"), geometry, damage)
        assert len(image) <= 512 * 9
        made = closed(9, image=image)
        outcome = made.open(line())
        assert (outcome.errno is None) == (made.wc is not None)
        if made.wc is None:
            assert outcome.message
            continue
        opened += 1
        assert violated(made.wc) == ()
        assert not (made.wc.error and damage == "no superblock")
    if damage in ("magic", "version", "block size", "n_blocks"):
        assert opened < 12
    else:
        assert opened == 12
