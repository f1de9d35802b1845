"""Watermarks and counters: when writeback begins and ends, and what counters can hold.

Subjects: `layout.freelist_watermark`, `messages.activate_cleaner`, `entries.verify_watermark`,
`entries.allocate`, `discard.discard`, `construct.default_writeback_jobs`.
"""

from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.families.states import Placed, cache_of
from writecache_proofs.planting import no_wrap
from writecache_proofs.symbolic import Run, all_of, implies
from writecache_proofs.theorem import Family, Twin
from writecache_spec.construct import default_writeback_jobs
from writecache_spec.discard import discard
from writecache_spec.effects import QueueWork
from writecache_spec.entries import allocate, verify_watermark
from writecache_spec.layout import freelist_watermark
from writecache_spec.messages import activate_cleaner
from writecache_spec.profile import PROFILES, Environment
from writecache_spec.transcript import Transcript
from writecache_spec.units import U32, U64, Jiffies, Sector

WATERMARKS: Final = Family("watermarks", __name__)
_MOST_BLOCKS: Final = 2**47 - 1
_PERCENT: Final = range(101)
_FIRST_WRAPPING: Final = -(-(U64 - 50) // 100)
"""The least number of blocks for which rounding wraps, where nothing may be in use."""


@WATERMARKS.theorem(
    Twin(
        "rounded down",
        (Edit(freelist_watermark, "+ 50) // 100", "+ 0) // 100"),),
    ),
)
def a_watermark_is_the_nearest_number_of_blocks(run: Run) -> None:
    """A watermark is the share of the blocks, rounded to the nearest, halves up; never more than
    all."""
    percent = run.choose("percent", _PERCENT)
    n_blocks = run.integer("n_blocks", 1, _MOST_BLOCKS)
    watermark = freelist_watermark(n_blocks, percent)
    hundredfold = n_blocks * (100 - percent)
    run.claim(watermark * 100 <= hundredfold + 50, "no more than half a block too many")
    run.claim(watermark * 100 > hundredfold - 50, "less than half a block too few")
    run.claim(watermark <= n_blocks, "no more than there are")
    run.claim(implies(percent == 0, watermark == n_blocks), "all of them for 0 percent")
    run.claim(implies(percent == 100, watermark == 0), "none for 100 percent")


@WATERMARKS.theorem(
    Twin(
        "the share in use is taken for the free one",
        (Edit(freelist_watermark, "(100 - percent)", "percent"),),
    ),
)
def a_higher_percent_never_means_more_free_blocks(run: Run) -> None:
    """A percent more in use never means more free blocks: so where the high watermark's percent is
    not below the low one's, writeback begins with no more blocks free than it ends with."""
    percent = run.choose("percent", _PERCENT[:-1])
    n_blocks = run.integer("n_blocks", 1, _MOST_BLOCKS)
    lower, higher = (freelist_watermark(n_blocks, one) for one in (percent, percent + 1))
    run.claim(higher <= lower, "no more of them")


def _no_wrap_below(run: Run, n_blocks: Any) -> None:
    percent = run.choose("percent", _PERCENT)
    with no_wrap():
        freelist_watermark(n_blocks, percent)
    run.claim(n_blocks >= 1, "nothing wraps")


def _at_the_first_that_wraps(run: Run) -> None:
    """Rounding wraps nowhere up to, and including, the exact number."""
    _no_wrap_below(run, run.integer("n_blocks", 1, _FIRST_WRAPPING))


@WATERMARKS.theorem(Twin("one block more wraps, too", check=_at_the_first_that_wraps))
def watermarks_wrap_nowhere_below_an_exact_number(run: Run) -> None:
    """Rounding a watermark wraps nowhere below (2**64 - 50) / 100 blocks, far more than 2**47."""
    _no_wrap_below(run, run.integer("n_blocks", 1, _FIRST_WRAPPING - 1))
    run.claim(_FIRST_WRAPPING > 2**47, "more than an index can number")


@WATERMARKS.theorem(
    Twin(
        "the high watermark is left alone",
        (Edit(activate_cleaner, "freelist_high_watermark=wc.config.n_blocks,",
              "freelist_high_watermark=wc.freelist_high_watermark,"),),
    ),
    bound="4 blocks",
)  # fmt: skip
def the_cleaner_always_asks_for_writeback(run: Run) -> None:
    """A cleaner asks for writeback whatever is free or about to be, and its pass never has
    enough."""
    wc = cache_of(run, ("committed", "progress", "free", "uncommitted"))
    wc = wc._replace(freelist_high_watermark=run.integer("high", 0, 4))
    wc = activate_cleaner(wc)
    transcript = Transcript()
    verify_watermark(wc, transcript)
    asked = any(isinstance(effect, QueueWork) for effect in transcript.effects)
    run.claim(asked, "asks")
    going_to_be = len(wc.freelist) + wc.writeback_size
    run.claim(going_to_be <= wc.freelist_low_watermark, "goes on")


@WATERMARKS.theorem(
    Twin(
        "asked for below the watermark only",
        (Edit(verify_watermark, "<= wc.freelist_high_watermark", "< wc.freelist_high_watermark"),),
    ),
    bound="4 blocks",
)
def writeback_is_asked_for_exactly_at_the_watermark(run: Run) -> None:
    """Taking a block asks for writeback exactly if no more blocks than the high watermark are left
    that are free or about to be."""
    watermark = run.integer("high", 0, 4)
    wc = cache_of(run, ("committed", "progress", "free", "free"))
    wc = wc._replace(freelist_high_watermark=watermark)
    transcript = Transcript()
    sector = run.integer("sector", 0, 2**55 - 1)
    after = allocate(wc, transcript, sector, Jiffies(0))
    asked = any(isinstance(effect, QueueWork) for effect in transcript.effects)
    run.claim((len(after.freelist) + 1 <= watermark) == asked, "exactly then")


def _uncommitted(run: Run, placed: tuple[Placed, ...]) -> Any:
    wc = cache_of(run, placed, PROFILES[run.choose("profile", ("1.6.0", "1.6.0-6.12.117"))])
    return wc._replace(uncommitted_blocks=run.integer("uncommitted_blocks", 0, U32 - 1))


@WATERMARKS.theorem(
    Twin(
        "not wrapped",
        (Edit(allocate, "wrap32(wc.uncommitted_blocks + 1)", "(wc.uncommitted_blocks + 1)"),),
    ),
    bound="2 blocks",
)
def the_autocommit_counter_goes_up_by_one(run: Run) -> None:
    """Taking a block counts one more uncommitted block, in 32 bits: it wraps exactly at its end."""
    wc = _uncommitted(run, ("committed", "free"))
    before = wc.uncommitted_blocks
    after = allocate(wc, Transcript(), run.integer("sector", 0, 2**55 - 1), Jiffies(0))
    run.claim(implies(before < U32 - 1, after.uncommitted_blocks == before + 1), "one more")
    run.claim(implies(before == U32 - 1, after.uncommitted_blocks == 0), "wraps at its end")


def _discard_never_wraps(run: Run) -> None:
    """Discarding one uncommitted block never takes the counter below zero."""
    wc = _uncommitted(run, ("uncommitted", "free"))
    before = wc.uncommitted_blocks
    after = discard(wc, Transcript(), Sector(0), Sector(2**55))
    run.claim(after.uncommitted_blocks <= before, "it does not grow")


@WATERMARKS.theorem(
    Twin("it never wraps", check=_discard_never_wraps),
    Twin("only an uncommitted block", (Edit(discard, "and not entry_is_committed(", "and not ("),)),
    bound="2 blocks",
)
def a_discard_wraps_the_autocommit_counter_exactly_at_zero(run: Run) -> None:
    """Discarding an uncommitted block takes one off the counter, and wraps it to 2**32 - 1 where an
    autocommit has reset it to 0; a committed block, or 6.12.117, leaves it as it is."""
    either: tuple[Placed, ...] = ("uncommitted", "committed")
    status = run.choose("status", either)
    wc = _uncommitted(run, (status, "free"))
    before = wc.uncommitted_blocks
    after = discard(wc, Transcript(), Sector(0), Sector(2**55)).uncommitted_blocks
    if status == "committed" or not wc.config.profile.discard_uncounts_uncommitted:
        run.claim(after == before, "as it was")
        return
    run.claim(implies(before >= 1, after == before - 1), "one less")
    run.claim(implies(before == 0, after == U32 - 1), "wraps at zero")


@WATERMARKS.theorem(
    Twin(
        "a page more",
        (Edit(default_writeback_jobs, "environment.total_ram_pages // 16", "2 * 4096"),),
    ),
)  # fmt: skip
def the_default_of_writeback_jobs_is_bounded(run: Run) -> None:
    """By default no more than 256 MiB, and no more than a sixteenth of the memory, are being
    copied."""
    page_size = run.choose("page_size", (4096, 16384, 65536))
    pages = run.integer("pages", 16, 2**52)
    environment = Environment(page_size=page_size, total_ram_pages=pages)
    jobs = default_writeback_jobs(PROFILES["1.6.0"]._replace(environment=environment))
    run.claim(all_of([jobs * page_size <= 2**28, jobs * 16 <= pages]), "bounded")
    run.claim(jobs >= 1, "and not 0, which would be no limit")
