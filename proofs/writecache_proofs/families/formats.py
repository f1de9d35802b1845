"""Formats that crash: at any moment, keeping anything, on a device that held anything.

What is left must be formatted again by the next activation, or be an empty cache.  Describes what
`construct.format_device` writes; the same rules as in `barriers`.
"""

from collections.abc import Iterator
from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.families.medium import COUNT, Medium, chosen, moments, values_of
from writecache_proofs.families.refining import REPAIRED
from writecache_proofs.symbolic import Run, all_of, any_of, negation
from writecache_proofs.theorem import Family, Twin
from writecache_spec.arguments import Arguments
from writecache_spec.construct import format_device
from writecache_spec.effects import StoreSuperblock, WriteMetadata
from writecache_spec.layout import MAGIC, VERSION, MemorySize, Superblock, is_committed
from writecache_spec.profile import PROFILES, Profile
from writecache_spec.state import State
from writecache_spec.transcript import Transcript
from writecache_spec.units import BlockIndex, ByteCount

FORMATS: Final = Family("barriers", __name__)


def _format_crashes(run: Run, profile: Profile, pmem_mode: bool, apart: bool = False) -> None:
    """A format crashes at any moment, keeping anything."""
    arguments = Arguments("ORIGIN", "CACHE", ByteCount(512), pmem_mode=pmem_mode)
    transcript = Transcript()
    size = MemorySize(BlockIndex(29), ByteCount(1024))
    wc = format_device(profile, arguments, size, transcript)
    stale = run.integer("stale", 0, 2**64 - 1)
    place = 28
    durable: dict[Any, Any] = _superblock_of(wc, Superblock(), apart)
    durable |= values_of(wc, place, stale, stale)
    medium = Medium(durable, {}, frozenset())
    met = list(_format_moments(wc, transcript, medium, place, apart))
    for number, one in enumerate(met):
        held = dict(one.durable)
        for key, values in one.pending.items():
            for position, value in enumerate(values):
                kept = run.flag(f"crash {number} keeps {key[1]} {key[0]} #{position}")
                held[key] = chosen(kept, value, held[key])
        magic, version, seq_count = _read(held)
        count = held[place, "count"] if pmem_mode else held[place, "entry"][1]
        again = all_of([magic == 0, version == 0])
        valid = all_of([magic == MAGIC, version == VERSION])
        empty = all_of([valid, seq_count == 0, negation(is_committed(count, seq_count))])
        run.claim(any_of([again, empty]), "it is formatted again, or empty")
    run.claim(_read(met[-1].durable)[:2] == (MAGIC, VERSION), "and in the end it is formatted")


def _superblock_of(wc: State, superblock: Superblock, apart: bool = False) -> dict[Any, Any]:
    """A superblock's places: its sector, or in persistent memory its words."""
    magic, version, seq_count = superblock.magic, superblock.version, superblock.seq_count
    if not wc.config.pmem_mode:
        return {(-1, "superblock"): (magic, version, seq_count)}
    if apart:
        return {(-1, "magic"): magic, (-1, "version"): version, COUNT: seq_count}
    return {(-1, "magic and version"): (magic, version), COUNT: seq_count}


def _read(held: dict[Any, Any] | Any) -> tuple[Any, Any, Any]:
    """Magic, version and count as they lie there."""
    whole = held.get((-1, "superblock"))
    word = held.get((-1, "magic and version"))
    if word is not None:
        whole = (*word, held[COUNT])
    return whole or (held[-1, "magic"], held[-1, "version"], held[COUNT])


def _format_moments(
    wc: State, transcript: Transcript, medium: Medium, place: int, apart: bool
) -> Iterator[Medium]:
    """As `medium.moments`, with the whole superblock."""
    yield medium
    for effect in transcript.effects:
        if isinstance(effect, StoreSuperblock):
            values = _superblock_of(wc, effect.superblock, apart)
            for key, value in values.items():
                named = ("seq_count",) if key == COUNT else key[1].split(" and ")
                if not set(named).isdisjoint(effect.fields):
                    medium = medium.written({key: value})
                    yield medium
            continue
        if isinstance(effect, WriteMetadata) and effect.first_sector == 0:
            medium = medium.written(_superblock_of(wc, effect.metadata.superblock))
        *_, medium = moments(wc, (effect,), medium, (place,))
        medium = medium._replace(
            pending={key: values for key, values in medium.pending.items()
                     if wc.config.pmem_mode or key != COUNT}
        )  # fmt: skip
        yield medium


def _format_as_shipped(run: Run) -> None:
    """The kernel's own format."""
    _format_crashes(run, PROFILES["1.6.0"], False)


def _format_of_memory_as_shipped(run: Run) -> None:
    """The kernel's own format of persistent memory."""
    _format_crashes(run, PROFILES["1.6.0"], True)


def _format_apart(run: Run) -> None:
    """The repaired one, if magic and version were two stores."""
    _format_crashes(run, REPAIRED, True, apart=True)


@FORMATS.theorem(
    Twin("as the kernel does it: the version is written first", check=_format_as_shipped,
         finding="format-crash"),
    bound="29 blocks of 512 bytes, one stale entry of any content",
)  # fmt: skip
def a_format_may_crash_at_any_moment(run: Run) -> None:
    """A crash of the repaired format leaves a device that is formatted again, or an empty cache."""
    _format_crashes(run, REPAIRED, False)


@FORMATS.theorem(
    Twin("magic and version are stored one after the other", check=_format_apart),
    Twin("as the kernel does it", check=_format_of_memory_as_shipped, finding="format-crash"),
    bound="29 blocks of 512 bytes, one stale entry of any content; words of 8 bytes",
)  # fmt: skip
def a_format_of_persistent_memory_may_crash_at_any_moment(run: Run) -> None:
    """The same of persistent memory, if magic and version, which share a word, are one store."""
    _format_crashes(run, REPAIRED, True)


def _formats(run: Run) -> None:
    _format_crashes(run, REPAIRED, False)


_MAGIC_AT_ONCE: Final = (
    Edit(format_device, "        magic=0,\n", "        magic=MAGIC,\n"),
    Edit(format_device, "version=0 if version_last else VERSION", "version=VERSION"),
)
FORMATS.redundant(
    "writing_the_magic_last_is_redundant",
    "Where the version is written together with the magic, both can be written at once with "
    "everything else: the count is 0, under which no entry is committed, whatever lies there.",
    _formats,
    _MAGIC_AT_ONCE,
    Twin("and entries are committed that have the superblock's count", (
        *_MAGIC_AT_ONCE,
        Edit(is_committed, "entry_seq_count < seq_count", "entry_seq_count <= seq_count"))),
)  # fmt: skip
