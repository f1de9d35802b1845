"""The constructor's arguments: a table line in, values or a refusal out; and the line back.

    MODE ORIGIN CACHE BLOCK_SIZE COUNT [OPTION [VALUE]]...

The kernel reads from the left and stops at the first thing it cannot accept, so the order of the
checks decides which errno and which message a bad table gets.  Words beyond COUNT are ignored, the
case of option names too, and of a repeated option the last one counts.

Describes the first half of `writecache_ctr`, `dm_read_arg_group`, and `STATUSTYPE_TABLE`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from writecache_spec.numbers import parse_signed32, parse_unsigned32, parse_unsigned64
from writecache_spec.profile import Profile
from writecache_spec.units import ByteCount, Sector, sectors_of

HIGH_WATERMARK: Final = 50
"""Percent of the cache in use at which writeback begins."""
LOW_WATERMARK: Final = 45
"""Percent of the cache in use at which it ends."""
AUTOCOMMIT_BLOCKS: Final = 65536
"""Uncommitted blocks that make a commit, in SSD mode."""
AUTOCOMMIT_BLOCKS_PMEM: Final = 64
"""The same in persistent-memory mode, where a commit is cheap."""
AUTOCOMMIT_MS: Final = 1000
"""Milliseconds from a write to its commit."""
PAUSE_WRITEBACK_MS: Final = 3000
"""Milliseconds without a write to the origin before writeback begins, in SSD mode."""
_MAXIMUM_AUTOCOMMIT_MS: Final = 3_600_000
_MAXIMUM_AGE_MS: Final = 86_400_000
_MAXIMUM_PAUSE_MS: Final = 60_000
_SMALLEST_BLOCK: Final = 512


class BlockDevice(NamedTuple):
    """What the constructor asks of an underlying device."""

    size: ByteCount
    logical_block_size: ByteCount = ByteCount(512)
    first_sector: Sector = Sector(0)
    """Where a partition begins on its disk."""
    is_persistent_memory: bool = False
    """Whether the processor can reach it (DAX)."""
    is_synchronous: bool = True
    """Of persistent memory: whether a fence is all that makes a store durable."""


class Refusal(NamedTuple):
    """Why a table was not accepted."""

    errno: str
    """Symbolic, without its sign; empty where `returned` takes its place."""
    message: str
    """The kernel's own, as it stands in its log."""
    returned: int = 0
    """A positive number that loading the table returns by mistake: success to whoever asked."""


class Arguments(NamedTuple):
    """A table line that was accepted; None is an option that was not given."""

    origin: str
    cache: str
    block_size: ByteCount
    start_sector: Sector | None = None
    high_watermark: int | None = None
    """Percent."""
    low_watermark: int | None = None
    """Percent."""
    writeback_jobs: int | None = None
    """Blocks under writeback at once; 0 is no limit."""
    autocommit_blocks: int | None = None
    autocommit_time: int | None = None
    """Milliseconds."""
    max_age: int | None = None
    """Milliseconds."""
    cleaner: bool = False
    metadata_only: bool = False
    pause_writeback: int | None = None
    """Milliseconds."""
    pmem_mode: bool = False
    """Mode `p`: the cache is persistent memory."""
    fua: bool | None = None
    """Whether writeback writes with FUA (`fua`, `nofua`)."""


INVALID_OPTION: Final = Refusal("EINVAL", "Invalid optional argument")
BAD_ARGUMENTS: Final = Refusal("EINVAL", "Bad arguments")
NO_PERSISTENT_MEMORY: Final = Refusal(
    "ENOTSUP", "Persistent memory or DAX not supported on this system"
)


def same_word(word: str, name: str) -> bool:
    """Compare as `strcasecmp` does: only ASCII letters have a case.

    >>> same_word("CLEANER", "cleaner"), same_word("\u212a", "k")
    (True, False)
    """
    return word.encode(errors="surrogateescape").lower() == name.encode()


def parse_arguments(
    words: tuple[str, ...], devices: Mapping[str, BlockDevice], profile: Profile
) -> Arguments | Refusal:
    """Read a table line's words, naming devices in `devices`."""
    head = _parse_devices(words, devices, profile)
    if isinstance(head, Refusal):
        return head
    options = _option_words(words[4:], profile)
    if isinstance(options, Refusal):
        return options
    cache_size = devices[head.cache].size
    names = _option_names(profile, head.pmem_mode)
    rest = list(options)
    while rest:
        name = rest.pop(0)
        known = next((option for option in names if same_word(name, option)), None)
        if known is None:
            return INVALID_OPTION
        fields: dict[str, Any] = dict([_FLAGS[known]]) if known in _FLAGS else {}
        if known in _VALUES:
            value = _VALUES[known](rest.pop(0), cache_size, profile) if rest else None
            if value is None:
                return INVALID_OPTION
            fields = {known: value}
        head = head._replace(**fields)
    if watermarks(head)[0] < watermarks(head)[1]:
        return Refusal("EINVAL", "High watermark must be greater than or equal to low watermark")
    return head


def watermarks(arguments: Arguments) -> tuple[int, int]:
    """High and low watermark in percent, with their defaults."""
    high, low = arguments.high_watermark, arguments.low_watermark
    return (HIGH_WATERMARK if high is None else high, LOW_WATERMARK if low is None else low)


def _parse_devices(
    words: tuple[str, ...], devices: Mapping[str, BlockDevice], profile: Profile
) -> Arguments | Refusal:
    """Mode, origin, cache and block size: everything before the options."""
    environment = profile.environment
    if not words or not (same_word(words[0], "s") or same_word(words[0], "p")):
        return BAD_ARGUMENTS
    pmem_mode = same_word(words[0], "p")
    if pmem_mode and not environment.persistent_memory:
        return NO_PERSISTENT_MEMORY
    for position, role in ((1, "Origin"), (2, "Cache")):
        if len(words) <= position:
            return BAD_ARGUMENTS
        if words[position] not in devices:
            return Refusal(environment.unknown_device_errno, f"{role} data device lookup failed")
    if len(words) <= 3:
        return BAD_ARGUMENTS
    block_size = parse_unsigned32(words[3], environment.saturates_numbers)
    if (
        block_size is None
        or not _SMALLEST_BLOCK <= block_size <= environment.page_size
        or block_size & (block_size - 1)
    ):
        return Refusal("EINVAL", "Invalid block size")
    if block_size < max(devices[name].logical_block_size for name in words[1:3]):
        return Refusal("EINVAL", "Block size is smaller than device logical block size")
    return Arguments(words[1], words[2], ByteCount(block_size), pmem_mode=pmem_mode)


def _option_words(words: tuple[str, ...], profile: Profile) -> tuple[str, ...] | Refusal:
    """The words that the count in front of them covers."""
    refusal = Refusal("EINVAL", "Invalid number of feature args")
    if not words:
        return refusal
    count = parse_unsigned32(words[0], profile.environment.saturates_numbers)
    if count is None or count > profile.maximum_feature_args or count > len(words) - 1:
        return refusal
    return words[1 : 1 + count]


def _start_sector(word: str, cache_size: ByteCount, profile: Profile) -> int | None:
    value = parse_unsigned64(word, profile.environment.saturates_numbers)
    return None if value is None or value >= sectors_of(cache_size) else value


def _percent(word: str, cache_size: ByteCount, profile: Profile) -> int | None:
    value = parse_signed32(word, profile.environment.saturates_numbers)
    return None if value is None or not 0 <= value <= 100 else value


def _at_most(limit: int) -> Callable[[str, ByteCount, Profile], int | None]:
    def parse(word: str, cache_size: ByteCount, profile: Profile) -> int | None:
        value = parse_unsigned32(word, profile.environment.saturates_numbers)
        return None if value is None or value > limit else value

    return parse


def _option_names(profile: Profile, pmem_mode: bool) -> list[str]:
    """The options that a table may have."""
    left_out = {"pause_writeback"} if pmem_mode else {"fua", "nofua"}
    if not profile.has_pause:
        left_out |= {"metadata_only", "pause_writeback"}
    return [name for name in _ORDER if name not in left_out]


_FLAGS: Final[dict[str, tuple[str, bool]]] = {
    "cleaner": ("cleaner", True),
    "fua": ("fua", True),
    "nofua": ("fua", False),
    "metadata_only": ("metadata_only", True),
}
"""Options without a value: which argument they set, and to what."""
_VALUES: Final[dict[str, Callable[[str, ByteCount, Profile], int | None]]] = {
    "start_sector": _start_sector,
    "high_watermark": _percent,
    "low_watermark": _percent,
    "writeback_jobs": _at_most(2**32),
    "autocommit_blocks": _at_most(2**32),
    "autocommit_time": _at_most(_MAXIMUM_AUTOCOMMIT_MS),
    "max_age": _at_most(_MAXIMUM_AGE_MS),
    "pause_writeback": _at_most(_MAXIMUM_PAUSE_MS),
}
"""Options with a value, and how it is read."""
_ORDER: Final = (*list(_VALUES)[:-1], *_FLAGS, "pause_writeback")
"""As the table line has them."""


def table_line(arguments: Arguments) -> str:
    """The line that device-mapper shows: exactly what was set, in the kernel's order.

    >>> table_line(Arguments("ORIGIN", "CACHE", ByteCount(4096), cleaner=True, max_age=5))
    's ORIGIN CACHE 4096 3 max_age 5 cleaner'
    """
    words: list[str] = []
    for name in _ORDER:
        if name in _VALUES:
            value = getattr(arguments, name)
            words += [] if value is None else [name, str(value)]
        else:
            field, given = _FLAGS[name]
            words += [name] if getattr(arguments, field) is given else []
    mode = "p" if arguments.pmem_mode else "s"
    head = [mode, arguments.origin, arguments.cache, str(arguments.block_size), str(len(words))]
    return " ".join(head + words)
