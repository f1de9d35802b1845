"""A crash keeps any subset of what is pending, sector by sector, and nothing else."""

from collections.abc import Hashable
from itertools import product
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from writecache_models.volatile import ZEROS, Volatile, crashes, n_crashes

EMPTY = Volatile({})


def left(*disks: Volatile, limit: int = 10**4) -> list[tuple[dict[int, Hashable], ...]]:
    found = [
        tuple(dict(disk.durable) for disk in one.disks) for one in crashes(disks, limit, Random(1))
    ]
    assert all(not disk.pending for one in crashes(disks, limit, Random(1)) for disk in one.disks)
    return found


def test_what_was_flushed_stays_and_what_was_not_may() -> None:
    disk = EMPTY.write(0, ["a", "b"]).flush().write(1, ["c"])
    assert [disk.read(sector) for sector in range(3)] == ["a", "c", ZEROS]
    assert left(disk) == [({0: "a", 1: "b"},), ({0: "a", 1: "c"},)]


def test_an_older_write_may_be_what_is_left_of_a_sector() -> None:
    disk = EMPTY.write(0, ["a"]).write(0, ["b"]).write(0, ["c"])
    assert disk.read(0) == "c"
    assert left(disk) == [({0: ZEROS},), ({0: "a"},), ({0: "b"},), ({0: "c"},)]


def test_a_fua_write_is_durable_and_no_barrier() -> None:
    disk = EMPTY.write(0, ["a", "b"]).write(0, ["c"], fua=True)
    assert disk.read(0) == "c"
    assert left(disk) == [({0: "c", 1: ZEROS},), ({0: "c", 1: "b"},)]


def test_equal_contents_count_once() -> None:
    disk = EMPTY.write(0, ["a"]).flush().write(0, ["b"]).write(0, ["a"])
    assert disk.ways(0) == ["b", "a"]
    assert n_crashes([disk]) == len(left(disk)) == 2


WRITES = st.lists(
    st.tuples(
        st.sampled_from(["write", "fua", "flush"]),
        st.integers(0, 1),
        st.integers(0, 2),
        st.sampled_from("ab"),
    ),
    max_size=7,
)


@given(WRITES)
def test_all_subsets_and_no_others(writes: list[tuple[str, int, int, str]]) -> None:
    disks = [EMPTY, EMPTY]
    # By brute force: each write not covered by a flush is kept or not, in order.
    log: list[list[tuple[int, str, bool]]] = [[], []]
    for kind, number, sector, content in writes:
        if kind == "flush":
            disks[number] = disks[number].flush()
            log[number] = [(place, what, True) for place, what, _ in log[number]]
        else:
            disks[number] = disks[number].write(sector, [content], kind == "fua")
            if kind == "fua":
                # Whatever was written there before has been overwritten for good.
                log[number] = [one for one in log[number] if one[0] != sector]
            log[number].append((sector, content, kind == "fua"))
    expected = set()
    for kept in product(*(((True,) if sure else (True, False)) for one in log for *_, sure in one)):
        decisions = iter(kept)
        state = [{place: what for place, what, _ in one if next(decisions)} for one in log]
        expected.add(tuple(tuple(one.get(place) for place in range(3)) for one in state))
    found = [
        tuple(tuple(one.get(place) for place in range(3)) for one in state)
        for state in left(*disks)
    ]
    assert set(found) == expected
    assert len(found) == len(expected) == n_crashes(disks)


def test_of_many_states_those_that_matter_come_first_and_none_comes_twice() -> None:
    disks = [EMPTY.write(0, ["m"] * 12), EMPTY.write(0, ["o"] * 12)]
    assert n_crashes(disks) == 2**24
    found = left(*disks, limit=500)
    kept = [tuple(sorted(k for k, v in one.items() if v)) for state in found for one in state]
    states = list(zip(kept[::2], kept[1::2], strict=True))
    assert len(set(states)) == len(states) == 500
    everything = tuple(range(12))
    assert states[:4] == [((), ()), (everything,) * 2, ((), everything), (everything, ())]
    for at in everything:
        assert (everything[:at] + everything[at + 1 :], everything) in states[:100]
        assert ((at,), ()) in states[:100]
    # Torn: a beginning alone.
    assert (everything[:5], ()) in states[:150]


def test_the_same_seed_draws_the_same() -> None:
    disk = EMPTY.write(0, list("abcdefghijklmnop"))
    one, other = (list(crashes([disk], 300, Random(7))) for _ in range(2))
    assert one == other
    assert one != list(crashes([disk], 300, Random(8)))
