"""`explain`: a line of `dmsetup table` or `dmsetup status` in words, and what to do about it."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from writecache_impl.tools.errors import ToolError
from writecache_spec.arguments import (
    AUTOCOMMIT_BLOCKS,
    AUTOCOMMIT_BLOCKS_PMEM,
    AUTOCOMMIT_MS,
    PAUSE_WRITEBACK_MS,
    Arguments,
    BlockDevice,
    Refusal,
    parse_arguments,
    watermarks,
)
from writecache_spec.numbers import split_words
from writecache_spec.profile import PROFILES
from writecache_spec.units import SECTOR_SIZE, ByteCount

_LINE: Final = re.compile(r"(?:\S+: )?(?:(?:\d+ \d+ )?writecache )?(?P<rest>.*)")
_NEW, _OLD = PROFILES["1.6.0-6.1-amd64"], PROFILES["1.4.0"]
_COUNTERS: Final = (
    "blocks were read",
    "of these came from the cache",
    "blocks were written",
    "of these went over a block that no commit had reached",
    "over a committed block of the cache",
    "around the cache, straight to the origin",
    "into a free block",
    "requests waited for a free block",
    "flushes were asked for",
    "blocks were discarded",
)
_ONE: Final = {"blocks were": "block was", "requests waited": "request waited",
               "flushes were": "flush was"}  # fmt: skip
"""What counters begin with where they are 1."""


class Explained(NamedTuple):
    """A line in words."""

    kind: str
    """`table` or `status`."""
    sentences: tuple[str, ...]
    advice: tuple[str, ...]
    is_trouble: bool
    """Whether something is wrong."""


def explain(line: str) -> Explained:
    """Explain a line, with or without device-mapper's columns before it.

    Raises ToolError for what is neither a table nor a status.
    """
    found = _LINE.fullmatch(" ".join(line.split()))
    words = found["rest"].split() if found else []
    if not words:
        raise ToolError("neither a table nor a status of writecache: an empty line")
    if words[0].lower() in ("s", "p"):
        return _table(" ".join(words))
    if not all(re.fullmatch(r"-?[0-9]{1,20}", word) for word in words):
        raise ToolError(f"neither a table nor a status of writecache: {line.strip()[:100]}")
    if len(words) not in (4, 14):
        raise ToolError(f"a status has 4 numbers, or since version 1.6.0 14, not {len(words)}")
    return _status([int(word) for word in words])


def _table(line: str) -> Explained:
    words = split_words(line)
    devices = {word: BlockDevice(ByteCount(2**63)) for word in words[1:3]}
    arguments = parse_arguments(words, devices, _NEW)
    if isinstance(arguments, Refusal):
        why = f"a kernel refuses this table: {arguments.message} ({arguments.errno})"
        return Explained("table", (why,), ("the kernel's log has the same words",), True)
    advice = []
    if isinstance(parse_arguments(words, devices, _OLD), Refusal) and not arguments.pmem_mode:
        advice.append("kernels before 5.15 or so (target 1.4.0) do not know all of these options")
    if arguments.block_size > 4096:
        advice.append("blocks of more than 4096 bytes need a kernel with larger pages")
    if arguments.cleaner:
        advice.append("when status says that all blocks are free, the cache can be removed")
    if arguments.max_age is None and not arguments.cleaner:
        advice.append("without max_age what is dirty may stay dirty for ever: the SSD is needed")
    return Explained("table", tuple(_sentences(arguments)), tuple(advice), False)


def _sentences(arguments: Arguments) -> Iterator[str]:
    kind = "persistent memory" if arguments.pmem_mode else "an SSD"
    yield (
        f"{arguments.cache}, {kind}, caches writes to {arguments.origin} in blocks of "
        f"{arguments.block_size} bytes"
    )
    if arguments.start_sector is not None:
        start = arguments.start_sector
        yield f"the cache begins at its sector {start} (byte {start * SECTOR_SIZE})"
    high, low = watermarks(arguments)
    yield f"writeback begins when {high} % of the blocks are in use, and ends at {low} %"
    blocks = arguments.autocommit_blocks
    if blocks is None:
        blocks = AUTOCOMMIT_BLOCKS_PMEM if arguments.pmem_mode else AUTOCOMMIT_BLOCKS
    milliseconds = arguments.autocommit_time
    milliseconds = AUTOCOMMIT_MS if milliseconds is None else milliseconds
    yield f"a commit is made after {blocks} blocks or {milliseconds} ms, and at every flush"
    if arguments.writeback_jobs:
        yield f"at most {arguments.writeback_jobs} blocks are copied at once"
    if arguments.max_age is not None:
        yield f"a block is written back when it is {arguments.max_age} ms old"
    if not arguments.pmem_mode:
        pause = arguments.pause_writeback
        pause = PAUSE_WRITEBACK_MS if pause is None else pause
        yield f"since version 1.6.0 writeback waits until the origin had no write for {pause} ms"
    elif arguments.fua is not False:
        yield "writeback writes the origin with FUA"
    if arguments.metadata_only:
        yield "only metadata of filesystems (REQ_META) is cached"
    if arguments.cleaner:
        yield "cleaner: nothing new is cached, everything is written back"


def _status(numbers: list[int]) -> Explained:
    error, n_blocks, n_free, n_writeback = numbers[:4]
    if not 0 <= n_free <= n_blocks or not 0 <= n_writeback <= n_blocks:
        raise ToolError("no status of writecache: more blocks are free or under way than there are")
    used = n_blocks - n_free
    share = 100 * used / n_blocks if n_blocks else 0
    sentences = [
        f"{used} of {n_blocks} blocks are in use ({share:.1f} %), {n_free} are free",
        f"{n_writeback} are being written back now",
    ]
    sentences += [
        f"{number} {_of(number, words)}"
        for words, number in zip(_COUNTERS, numbers[4:], strict=False)
    ]
    advice = list(_advice(error, used, n_free, n_writeback))
    if len(numbers) == 14:
        advice += _from_counters(numbers[4:])
    if error:
        sentences.insert(0, "an I/O error or damage was met: the cache takes no write any more")
    return Explained("status", tuple(sentences), tuple(advice), bool(error))


def _of(number: int, words: str) -> str:
    """What a counter's number is of."""
    for many, one in _ONE.items():
        if number == 1 and words.startswith(many):
            return words.replace(many, one)
    return words


def _advice(error: int, used: int, n_free: int, n_writeback: int) -> Iterator[str]:
    if error:
        yield "the kernel's log says what it was; reads go on, nothing is brought home any more"
        yield "do not remove the cache: it has what was written last"
        yield "take it out of use, copy both devices (ddrescue), then `writecache check`"
        return
    if not used:
        yield "the origin has everything that was committed: after a flush it can do without"
    else:
        yield "the origin alone is stale: to bring it up to date send the message flush or cleaner"
    if used and not n_free:
        yield "the cache is full: writes wait for writeback, or go to the origin"
    if n_writeback:
        yield "ask again: when the last number is 0, what was under way is home"


def _from_counters(counters: list[int]) -> Iterator[str]:
    reads, hits, writes, *_ = counters
    if reads:
        yield f"{100 * hits / reads:.1f} % of the blocks read came from the cache"
    if writes and counters[7] * 20 > writes:
        yield "more than 5 % of the writes waited for a free block: the origin cannot keep up"
    if writes and counters[5] * 2 > writes:
        yield "more than half of the writes went around the cache: it is often full"
