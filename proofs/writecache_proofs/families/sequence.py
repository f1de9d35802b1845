"""Sequence counts: what is committed, what the sentinel does, and the exact end of the numbers.

Subjects: `layout.is_committed`, `commit.flush`, `entries.allocate`.
"""

from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.families.states import cache_of
from writecache_proofs.symbolic import Run, implies, negation
from writecache_proofs.theorem import Family, Twin
from writecache_spec.commit import flush
from writecache_spec.entries import allocate
from writecache_spec.layout import is_committed
from writecache_spec.profile import PROFILES
from writecache_spec.state import State, entry_is_committed
from writecache_spec.transcript import Transcript
from writecache_spec.units import U64_MAX, Jiffies

SEQUENCE: Final = Family("sequence", __name__)
_OR_EQUAL: Final = Edit(is_committed, "entry_seq_count < seq_count", "entry_seq_count <= seq_count")
_NOT_RAISED: Final = Edit(flush, "wrap64(wc.seq_count + 1)", "wrap64(wc.seq_count)")
_REPAIRED: Final = PROFILES["1.6.0"].repaired()


def _one_uncommitted(run: Run, last_count: int) -> State:
    return cache_of(run, ("committed", "uncommitted", "free"), _REPAIRED, (), last_count)


@SEQUENCE.theorem(Twin("an equal count is committed", (_OR_EQUAL,)))
def a_free_entry_is_never_committed(run: Run) -> None:
    """The sentinel of a free entry, all ones, is committed under no count whatever."""
    run.claim(negation(is_committed(U64_MAX, run.integer("count", 0, U64_MAX))), "not committed")


@SEQUENCE.theorem(Twin("an equal count is committed", (_OR_EQUAL,)))
def what_is_written_is_uncommitted_until_the_next_commit_and_committed_after(run: Run) -> None:
    """An entry of the commit under way is not committed, and is so from the next count on."""
    count = run.integer("count", 0, U64_MAX - 1)
    later = run.integer("later", 0, U64_MAX)
    run.claim(negation(is_committed(count, count)), "not yet")
    run.claim(implies(later > count, is_committed(count, later)), "from then on")
    run.claim(implies(later <= count, negation(is_committed(count, later))), "and not before")


@SEQUENCE.theorem(
    Twin("the count is not raised", (_NOT_RAISED,)),
    bound="3 blocks",
)
def a_commit_commits_all_and_uncommits_nothing(run: Run) -> None:
    """After a commit every entry in the cache is committed, and the count is greater by one."""
    wc = _one_uncommitted(run, U64_MAX - 1)
    after = flush(wc._replace(uncommitted_blocks=1), Transcript())
    run.claim(after.seq_count == wc.seq_count + 1, "greater by one")
    for _, index in after.lru.items():
        run.claim(entry_is_committed(after, after.entries[index]), "committed")


def _never_wraps(run: Run) -> None:
    """A commit commits, whatever the count."""
    _commits(run, U64_MAX)


def _commits(run: Run, last_count: int) -> None:
    wc = _one_uncommitted(run, last_count)
    after = flush(wc._replace(uncommitted_blocks=1), Transcript())
    newest = after.lru.last()
    committed = newest is not None and entry_is_committed(after, after.entries[newest[1]])
    run.claim(committed, "what was written is committed")


@SEQUENCE.theorem(Twin("at no count whatever", check=_never_wraps), bound="3 blocks")
def commits_work_up_to_the_last_count(run: Run) -> None:
    """A commit commits under every count but the very last, 2**64 - 1, at which it wraps."""
    _commits(run, U64_MAX - 1)


@SEQUENCE.theorem(
    Twin("the count is not wrapped", (
        Edit(flush, "SequenceCount(wrap64(wc.seq_count + 1))",
             "SequenceCount(wc.seq_count + 1)"),)),
    bound="3 blocks",
)  # fmt: skip
def at_the_last_count_a_commit_forgets_everything(run: Run) -> None:
    """A commit under 2**64 - 1 makes the count 0: from then on nothing is committed, what was
    durable before included, and a crash loses all of it.  On the repaired reference, too."""
    wc = _one_uncommitted(run, U64_MAX)
    run.suppose(wc.seq_count == U64_MAX)
    after = flush(wc._replace(uncommitted_blocks=1), Transcript())
    run.claim(after.seq_count == 0, "the count wraps to 0")
    for _, index in after.lru.items():
        committed = entry_is_committed(after, after.entries[index])
        run.claim(negation(committed), "not committed")


def _looks_free(run: Run, last_count: int) -> None:
    wc = _one_uncommitted(run, last_count)
    index = wc.current_free
    assert index is not None
    sector: Any = run.integer("sector", 0, 2**55 - 1)
    after = allocate(wc, Transcript(), sector, Jiffies(0))
    run.claim(after.entries[index].seq_count != U64_MAX, "not the sentinel")


def _looks_free_at_the_last(run: Run) -> None:
    """A block in use never looks free, whatever the count."""
    _looks_free(run, U64_MAX)


@SEQUENCE.theorem(Twin("at no count whatever", check=_looks_free_at_the_last), bound="3 blocks")
def a_block_in_use_looks_free_only_at_the_last_count(run: Run) -> None:
    """A block that is taken carries the sentinel of a free one under the count 2**64 - 1 only."""
    _looks_free(run, U64_MAX - 1)
