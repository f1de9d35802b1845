"""What the survey finds is what the reference's resume makes of the same entries."""

import itertools
import random
from collections.abc import Sequence

import pytest
from caches import Pair, random_entries
from hypothesis import given
from hypothesis import strategies as st

from writecache_impl.tools import fast, plain
from writecache_impl.tools.activation import PROFILE, activate, construct_with, table_of
from writecache_impl.tools.arithmetic import Arithmetic
from writecache_impl.tools.cache import Entries
from writecache_impl.tools.numbers import Survey, numbers
from writecache_spec.arguments import BlockDevice, Refusal
from writecache_spec.codec import encode_entries
from writecache_spec.construct import construct
from writecache_spec.effects import Log
from writecache_spec.events import Resume
from writecache_spec.layout import MAGIC, VERSION, MemoryEntry, Superblock, calculate_memory_size
from writecache_spec.state import State
from writecache_spec.status import status_line
from writecache_spec.step import step
from writecache_spec.units import U64_MAX, ByteCount, Sector, SequenceCount

BOTH: tuple[Arithmetic, ...] = (plain, fast)
SEQ_COUNT = 3
DEVICES = {name: BlockDevice(ByteCount(2**20)) for name in ("ORIGIN", "CACHE")}


def superblock(n_blocks: int, seq_count: int = SEQ_COUNT) -> Superblock:
    return Superblock(MAGIC, VERSION, 512, 0, n_blocks, seq_count)


def surveyed(
    arithmetic: Arithmetic, entries: Sequence[Pair], seq_count: int = SEQ_COUNT, chunk: int = 2
) -> Survey:
    """The survey, of entries that come some at a time."""
    chunks = []
    for at in range(0, len(entries), chunk):
        part = entries[at : at + chunk]
        data = encode_entries(MemoryEntry(Sector(s), SequenceCount(c)) for s, c in part)
        chunks.append(Entries(at, data, ()))
    return arithmetic.survey(chunks, seq_count)


class Reference:
    """Resumes on the reference, on states that are constructed once for each size."""

    def __init__(self) -> None:
        self._constructed: dict[int, State] = {}

    def resume(
        self, entries: Sequence[Pair], seq_count: int = SEQ_COUNT
    ) -> tuple[State, list[str]]:
        """The state, and what the kernel's log gets."""
        wc = self._constructed.get(len(entries))
        if wc is None:
            made = construct(PROFILE, table_of(512, 0), DEVICES, superblock(len(entries)))
            assert isinstance(made.result, State)
            wc = self._constructed[len(entries)] = made.result
        found = tuple(MemoryEntry(Sector(s), SequenceCount(c)) for s, c in entries)
        after = step(wc, Resume((superblock(len(entries), seq_count), found), Sector(2048)))
        return after.state, [e.text for e in after.effects if isinstance(e, Log)]


REFERENCE = Reference()


def agree(entries: Sequence[Pair], seq_count: int = SEQ_COUNT) -> None:
    """Survey and reference, whole."""
    wc, logged = REFERENCE.resume(entries, seq_count)
    plainly, fastly = (surveyed(way, entries, seq_count) for way in BOTH)
    assert plainly == fastly
    tree = [(sector, blocks) for sector, blocks in wc.tree.items()]
    live = zip(plainly.live_sectors, plainly.live_blocks, strict=True)
    assert tree == [(sector, (block,)) for sector, block in live]
    erased = [
        index
        for index, (_, count) in enumerate(entries)
        if count != U64_MAX and wc.entries[index].seq_count == U64_MAX
    ]
    assert sorted([*plainly.uncommitted, *plainly.superseded]) == erased
    assert plainly.n_free == sum(count == U64_MAX for _, count in entries)
    assert wc.error is bool(plainly.identical)
    made = activate(superblock(len(entries), seq_count), 2**20, 0, plainly)
    assert made.accepted
    assert made.status == " ".join(status_line(wc).split()[:4])
    assert made.erased == len(erased)
    named = [text.split(",")[1].removeprefix(" position ") for text in logged]
    assert named == [str(index) for index in plainly.identical[:1]]


def test_survey_is_the_references_resume_exhaustively() -> None:
    pairs = [(s, c) for s in (0, 8) for c in (1, 2, 3)] + [(8, U64_MAX)]
    for n_blocks in (1, 2, 3, 4):
        for entries in itertools.product(pairs, repeat=n_blocks):
            agree(entries)


@given(st.randoms(use_true_random=False), st.integers(1, 40), st.sampled_from([0, 1, 3, U64_MAX]))
def test_survey_is_the_references_resume_at_random(
    rng: random.Random, n_blocks: int, seq_count: int
) -> None:
    counts = (0, 1, 2, 3, 4, U64_MAX - 1, U64_MAX)
    agree(random_entries(rng, n_blocks, (0, 1, 8, 2**40, U64_MAX), counts), seq_count)


def complaints(entries: Sequence[Pair]) -> list[int]:
    """Entries that resume complains about, one by one, as the C source has it."""
    best: dict[int, int] = {}
    found = []
    for index, (sector, count) in enumerate(entries):
        if count >= SEQ_COUNT:
            continue
        if best.get(sector) == count:
            found.append(index)
        best[sector] = max(count, best.get(sector, 0))
    return found


@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_identical_entries_are_those_that_a_kernel_complains_of(
    rng: random.Random, n_blocks: int
) -> None:
    entries = random_entries(rng, n_blocks, (0, 8), (0, 1, 2, 3))
    for way in BOTH:
        assert list(surveyed(way, entries, chunk=7).identical) == complaints(entries)


@pytest.mark.parametrize("mistake", ["older wins", "first twin wins", "uncommitted counts"])
def test_a_planted_mistake_is_caught(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = plain.survey

    def mistaken(chunks: list[Entries], seq_count: int) -> Survey:
        found = original(chunks, seq_count + (mistake == "uncommitted counts"))
        if mistake == "uncommitted counts" or not found.superseded:
            return found
        if mistake == "first twin wins" and not found.identical:
            return found
        return found._replace(
            live_blocks=numbers([found.superseded[0], *found.live_blocks[1:]]),
        )

    monkeypatch.setattr(plain, "survey", mistaken)
    with pytest.raises(AssertionError):
        test_survey_is_the_references_resume_exhaustively()


@given(
    st.sampled_from([0, MAGIC, 7]),
    st.sampled_from([0, VERSION, 2]),
    st.sampled_from([0, 256, 512, 1000, 4096, 8192, 2**31]),
    st.sampled_from([0, 1, 7, 99, 2**40, 2**56, 2**60, 2**63, U64_MAX]),
    st.sampled_from([512, 4096, 65536]),
)
def test_a_constructor_asked_with_one_block_answers_as_with_all(
    magic: int, version: int, block_size: int, n_blocks: int, size: int
) -> None:
    given_superblock = Superblock(magic, version, block_size, n_blocks=n_blocks)
    devices = {name: BlockDevice(ByteCount(size)) for name in ("ORIGIN", "CACHE")}
    made = construct(PROFILE, table_of(block_size, 0), devices, given_superblock).result
    refusal = made if isinstance(made, Refusal) else None
    assert construct_with(given_superblock, size, 0) == refusal


COLUMN = st.lists(st.sampled_from([0, 1, 2, 3, 8, 16, 2**54 - 8, 2**54, U64_MAX]), unique=True)


@given(COLUMN, st.sampled_from([1, 8]), st.sampled_from([None, 0, 8, 17]), st.randoms())
def test_both_arithmetics_agree(
    values: list[int], block_sectors: int, end: int | None, rng: random.Random
) -> None:
    sectors = numbers(sorted(values))
    blocks = numbers(rng.randrange(3) for _ in values)
    places = numbers(place for place in range(len(values)) if rng.random() < 0.5)
    edges = numbers([*places, len(values)])
    results = [
        (
            way.extents(sectors, block_sectors),
            way.misplaced(sectors, block_sectors, end),
            way.runs(sectors, blocks, block_sectors),
            way.without(sectors, places),
            way.places_of(blocks, edges, 4096, 512),
        )
        for way in BOTH
    ]
    assert results[0] == results[1]


def test_extents_merge_what_follows() -> None:
    found = [way.extents(numbers([0, 8, 16, 32]), 8) for way in BOTH]
    assert found == [(numbers([0, 32]), numbers([24, 8]))] * 2


def test_the_largest_cache_of_a_device_is_what_format_makes() -> None:
    made = calculate_memory_size(2**20, 512)
    assert isinstance(made, tuple)
    assert construct_with(superblock(made.n_blocks), 2**20, 0) is None
    assert construct_with(superblock(made.n_blocks + 1), 2**20, 0) is not None
