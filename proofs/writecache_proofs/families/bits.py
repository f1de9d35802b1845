"""Bits: where a number is a pattern, and that both kinds of symbolic numbers say the same.

Subjects: `commit.dirty_runs`, `all_regions`, `commit_regions`, `layout.round_up`, `units.signed32`.
"""

from itertools import pairwise
from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.families.states import empty_cache
from writecache_proofs.symbolic import Run, all_of, any_of
from writecache_proofs.theorem import Family, Twin
from writecache_spec.commit import all_regions, commit_regions, dirty_runs
from writecache_spec.effects import WriteMetadata
from writecache_spec.layout import REGION_SECTORS, entry_region, round_up
from writecache_spec.profile import PROFILES
from writecache_spec.transcript import Transcript
from writecache_spec.units import U32, U64, Sector, signed32, wrap32, wrap64

BITS: Final = Family("bits", __name__)
_REGIONS: Final = 10


@BITS.theorem(
    Twin("a run's length is one too great", (
        Edit(dirty_runs, "(bitmap + 1)).bit_length() - 1", "(bitmap + 1)).bit_length()"),)),
    bound=f"{_REGIONS} regions",
)  # fmt: skip
def dirty_runs_cover_each_dirty_region_once(run: Run) -> None:
    """The runs of a bitmap hold each dirty region once and no clean one, in order, and do not
    touch."""
    bitmap = run.bits("bitmap", 0, 2**_REGIONS - 1)
    runs = dirty_runs(bitmap)
    for region in range(_REGIONS):
        covers = [all_of([first <= region, region < first + count]) for first, count in runs]
        dirty = (bitmap >> region) % 2 == 1
        run.claim(any_of(covers) == dirty, "covered exactly if it is dirty")
    for (first, count), (following, _) in pairwise(runs):
        run.claim(first + count < following, "apart, in order")
    run.claim(all_of(count >= 1 for _, count in runs), "none is empty")


@BITS.theorem(
    Twin("the last region's end is not clamped", (
        Edit(commit_regions, "min(count * REGION_SECTORS, metadata_sectors - first)",
             "count * REGION_SECTORS"),)),
    bound="6 regions",
)  # fmt: skip
def a_commit_writes_all_dirty_regions_and_nothing_beyond(run: Run) -> None:
    """The writes of a commit carry every sector of every dirty region, and end inside the
    metadata."""
    metadata_sectors = run.bits("metadata_sectors", 1, 6 * REGION_SECTORS)
    dirty = run.bits("dirty_regions", 0, 2**6 - 1)
    run.suppose((dirty >> ((metadata_sectors + REGION_SECTORS - 1) // REGION_SECTORS)) == 0)
    wc = empty_cache(PROFILES["1.6.0"], 4)
    config = wc.config._replace(metadata_sectors=Sector(metadata_sectors))
    transcript = Transcript()
    after = commit_regions(wc._replace(config=config, dirty_regions=dirty), transcript, False)
    writes = [one for one in transcript.effects if isinstance(one, WriteMetadata)]
    sector = run.bits("a sector", 0, 6 * REGION_SECTORS - 1)
    run.suppose(sector < metadata_sectors)
    covers = [
        all_of([one.first_sector <= sector, sector < one.first_sector + one.n_sectors])
        for one in writes
    ]
    is_dirty = (dirty >> (sector // REGION_SECTORS)) % 2 == 1
    run.claim(any_of(covers) == is_dirty, "a sector is written exactly if its region is dirty")
    for one in writes:
        end = one.first_sector + one.n_sectors
        run.claim(end <= metadata_sectors, "inside the metadata")
        run.claim(one.n_sectors >= 1, "not empty")
    run.claim(after.dirty_regions == 0, "nothing is dirty after")


@BITS.theorem(
    Twin("a bit too few", (
        Edit(all_regions, "(1 << bitmap_bits(bytes_of(metadata_sectors))) - 1",
             "(1 << (bitmap_bits(bytes_of(metadata_sectors)) - 1)) - 1"),)),
    bound="16 regions",
)  # fmt: skip
def all_regions_are_those_of_all_entries(run: Run) -> None:
    """The bitmap of the whole area has a bit for the region of every entry in it, and no bit
    beyond."""
    metadata_sectors = run.bits("metadata_sectors", 1, 16 * REGION_SECTORS)
    bitmap = all_regions(Sector(metadata_sectors))
    index = run.bits("index", 0, 2**16)
    run.suppose(64 + index * 16 + 16 <= metadata_sectors * 512)
    run.claim((bitmap >> entry_region(index)) % 2 == 1, "a bit for each entry's region")
    last = (metadata_sectors - 1) // REGION_SECTORS
    run.claim(bitmap >> (last + 1) == 0, "none beyond")


def _characterises(run: Run, value: Any, block_size: int) -> None:
    rounded = round_up(value, block_size)
    wraps = value > U64 - block_size
    multiple = rounded % block_size == 0
    least = all_of([value <= rounded, rounded < value + block_size])
    run.claim(multiple, "a multiple")
    run.claim(any_of([all_of([wraps, rounded == 0]), least]), "the least, or 0 where it wraps")


_ONE_TOO_MANY: Final = Edit(round_up, "value + block_size - 1", "value + block_size")


@BITS.theorem(Twin("a byte too many", (_ONE_TOO_MANY,)), bound="block sizes 512 to 65536")
def integers_and_bits_round_up_alike(run: Run) -> None:
    """Rounding up is fixed, wrap-around included, by properties that only one number has; integers
    and bit-vectors both have them at all 64 bits: so they agree."""
    block_size = run.choose("block_size", tuple(2**shift for shift in range(9, 17)))
    _characterises(run, run.integer("integer", 0, U64 - 1), block_size)
    _characterises(run, run.bits("bits", 0, U64 - 1), block_size)


@BITS.theorem(
    Twin("65 bits are kept", (Edit(wrap64, "value % U64", "value % (2 * U64)"),)),
)
def integers_and_bits_wrap_alike(run: Run) -> None:
    """Sums and products of 64-bit numbers, cut to 64 bits, leave in both kinds a number that fits
    and differs from the whole by a multiple of 2**64: there is only one."""
    for kind in (run.integer, run.bits):
        name = kind.__name__
        a, b = kind(f"{name} a", 0, U64 - 1), kind(f"{name} b", 0, U64 - 1)
        for whole in (a + b, a * 16 + 64, a - b + U64):
            cut = wrap64(whole)
            run.claim(all_of([cut >= 0, cut < U64]), "fits")
            multiples = [whole - cut == U64 * times for times in range(17)]
            run.claim(any_of(multiples), "a multiple less")


@BITS.theorem(
    Twin("the sign is lost", (Edit(signed32, "low - U32 if low >= U32 // 2 else low", "low"),)),
)
def signed_numbers_are_twos_complement(run: Run) -> None:
    """A signed number has the same low 32 bits, and lies between -2**31 and 2**31 - 1."""
    value = run.bits("value", 0, U64 - 1)
    signed = signed32(value)
    run.claim(all_of([signed >= -(2**31), signed < 2**31]), "its range")
    run.claim(wrap32(signed) == value % U32, "its low bits")
