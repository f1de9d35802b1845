"""Workloads aimed at what random ones miss: each is one story, whatever its seed."""

from writecache_models.images import Geometry, image_of
from writecache_models.workloads.author import QUIET, Author
from writecache_spec.layout import MAGIC, VERSION, Superblock
from writecache_spec.units import U64, U64_MAX

AT_ONCE = ("high_watermark", "0", "low_watermark", "0")
"""Options with which whatever is written is written back at once."""

WHEN_FULL = ("high_watermark", "100", "low_watermark", "0")
"""Options with which everything is written back once no block is free."""


def claims(author: Author) -> str:
    """Superblocks one behind the other, each claiming another number of blocks."""
    author.geometry = Geometry(4096, 512, 512)
    wrapping = (U64 // 16 - 1, U64 // 16 - 4, U64 // 16 - 5, U64 // 16, U64_MAX)
    numbers = (0, 1, 40, 63, 64, 10**6, 2**32, 2**52, 2**58, *wrapping)
    cases = [
        (size, number)
        for size in (512, 4096)
        for number in (*numbers, U64 // size - 1, U64 // size)
    ]
    for place, (size, number) in enumerate(cases):
        superblock = Superblock(MAGIC, VERSION, size, 0, number, 1)
        author.image += image_of(superblock, ()).ljust(4096, b"\0")
        author.do("open", f"s ORIGIN CACHE {size} 4 start_sector {8 * place} {' '.join(QUIET)}")
    return author.table()


def misaligned(author: Author) -> str:
    """Reads and writes that reach a block which begins where none should."""
    author.geometry = Geometry(4096, 64, 256)
    author.image = image_of(
        Superblock(MAGIC, VERSION, 4096, 0, 7, 9), ((12, 3), (33, 4), (64, 5), (71, 6))
    )
    author.do("open")
    for first in (0, 8, 16, 24, 32, 56, 64):
        author.do("read", first, 16)
        author.do("read", first, 40)
        author.do("read", first, 8)
    author.do("write", 8, 16, author.new_tag())
    author.do("discard", 8, 32)
    author.do("message", "flush")
    author.do("read", 0, 128)
    return author.table("high_watermark", "100")


def beyond(author: Author) -> str:
    """Blocks of an origin that was larger once, and are written back."""
    author.geometry = Geometry(4096, 64, 256)
    places = ((252, 3), (256, 4), (2048, 5), (0, 6))
    author.image = image_of(Superblock(MAGIC, VERSION, 4096, 0, 7, 9), places)
    author.do("open")
    author.do("read", 240, 8)
    author.do("message", "flush")
    author.do("read", 240, 8)
    return author.table()


def odd_origin(author: Author) -> str:
    """An origin that does not end with a whole block of every size."""
    author.geometry = Geometry(4096, 128, 252)
    author.do("open")
    author.do("open", f"s ORIGIN CACHE 2048 4 start_sector 64 {' '.join(QUIET)}")
    author.do("write", 240, 12, author.new_tag())
    author.do("open")
    author.do("resume")
    author.do("read", 240, 12)
    return author.table()


def spaces(author: Author) -> str:
    """Tables with more spaces than words need."""
    author.geometry = Geometry(4096, 64, 256)
    for table in ("s  ORIGIN CACHE 4096 0", " s ORIGIN CACHE 4096 0", "s ORIGIN CACHE 4096 0  "):
        author.do("open", table.replace(" 0", f"  2   {'  '.join(QUIET)}"))
        author.write()
    return author.table()


def full_runs(author: Author) -> str:
    """Runs as long as they may be, in a pass that asks for everything and in one that does not."""
    author.geometry = Geometry(512, 1100, 1200)
    author.do("open")
    author.do("write", 0, 900, author.new_tag())
    author.do("read", 0, 900)
    author.do("open", author.table())
    author.do("write", 100, 900, author.new_tag())
    author.do("message", "flush")
    author.do("write", 0, 256, author.new_tag())
    author.do("message", "flush")
    return author.table(*AT_ONCE)


def _ruined(author: Author) -> None:
    """A block whose copy fails: it lies across the end of all numbers."""
    author.geometry = Geometry(4096, 64, 256)
    author.image = image_of(Superblock(MAGIC, VERSION, 4096, 0, 7, 9), ((U64 - 8, 3),))
    author.do("open")


def late_autocommit(author: Author) -> str:
    """A timer that fires when an error has ended everything."""
    _ruined(author)
    author.do("write", 0, 40, author.new_tag())
    author.do("sleep", 1500)
    author.write()
    author.read()
    author.do("flush")
    author.discard()
    pause = ("pause_writeback", "0") if author.has_pause else ()
    once_full = ("high_watermark", "80", "low_watermark", "80")
    return author.table(*once_full, "autocommit_time", "700", *pause, quiet=False)


def late_max_age(author: Author) -> str:
    """A search for old blocks that goes on until it finds one whose copy fails."""
    _ruined(author)
    author.do("sleep", 3500)
    author.write()
    author.do("sleep", 300)
    return author.table("max_age", "1600")


def _nearly_full(author: Author) -> None:
    """More blocks that lie apart than a pass takes, in a cache with a few free ones left."""
    author.geometry = Geometry(512, 208, 1000)
    author.do("open")
    for sector in range(0, 396, 2):
        author.do("write", sector, 1, author.new_tag())


def paused_suspend(author: Author) -> str:
    """A pass that pauses, and goes on because of a suspend."""
    _nearly_full(author)
    author.do("write", 400, 500, author.new_tag())
    author.do("flush")
    author.do("suspend")
    author.do("resume")
    author.do("read", 0, 900)
    pause = ("pause_writeback", "60000") if author.has_pause else ()
    return author.table(*WHEN_FULL, *QUIET, *pause, quiet=False)


def _slow(author: Author, n_blocks: int) -> None:
    """An origin whose writes take long: what is being copied stays so."""
    author.geometry = Geometry(4096, 8 * (n_blocks + 1), 256)
    author.extra["origin_delay"] = 400
    author.do("open")


def _begin_write(author: Author, sector: int, n_sectors: int = 8) -> None:
    author.do("begin", "write", sector, n_sectors, author.new_tag())


def copies_overtaken(author: Author) -> str:
    """Blocks written again while they are being copied, and again before that has ended."""
    _slow(author, 8)
    _begin_write(author, 0)
    author.do("begin", "read", 0, 16)
    _begin_write(author, 0)
    author.do("begin", "read", 0, 16)
    author.do("read", 0, 16)
    _begin_write(author, 8, 24)
    author.do("write", 0, 40, author.new_tag())
    author.do("read", 0, 48)
    _begin_write(author, 16, 16)
    _begin_write(author, 16)
    author.do("flush")
    author.do("read", 0, 48)
    return author.table(*AT_ONCE)


def copies_awaited(author: Author) -> str:
    """Writes that find their block being copied, and no free one."""
    _slow(author, 2)
    for _ in range(2):
        _begin_write(author, 0)
        _begin_write(author, 8)
        author.do("write", 0, 8, author.new_tag())
        author.do("read", 0, 16)
        _begin_write(author, 16, 16)
        author.do("write", 16, 16, author.new_tag())
        author.do("read", 0, 32)
    return author.table(*AT_ONCE)


def copies_and_messages(author: Author) -> str:
    """Messages while blocks are being copied."""
    _slow(author, 8)
    for message in ("flush", "flush_on_suspend", "clear_stats", "cleaner", "flush"):
        _begin_write(author, 0, 16)
        author.do("message", message)
        author.do("read", 0, 16)
    return author.table(*AT_ONCE)


def copies_and_suspend(author: Author) -> str:
    """Suspends, and reloads, while blocks are being copied."""
    _slow(author, 8)
    _begin_write(author, 0, 16)
    author.do("suspend")
    author.do("resume")
    author.do("read", 0, 16)
    author.do("message", "flush_on_suspend")
    _begin_write(author, 8, 16)
    author.do("suspend")
    author.do("resume")
    _begin_write(author, 24, 16)
    author.do("open")
    author.do("read", 0, 64)
    return author.table(*AT_ONCE)


def copies_throttled(author: Author) -> str:
    """More blocks than may be copied at a time."""
    _slow(author, 8)
    for first in (0, 32, 8):
        _begin_write(author, first)
        author.do("write", first + 16, 16, author.new_tag())
        author.do("read", 0, 64)
    return author.table(*AT_ONCE, "writeback_jobs", "1")


def copies_and_limit(author: Author) -> str:
    """A suspend during a pass that has to wait for its copies, with another one behind it."""
    author.extra["origin_delay"] = 150
    _nearly_full(author)
    _begin_write(author, 400, 6)
    author.do("suspend")
    author.do("resume")
    author.do("read", 0, 400)
    return author.table(*WHEN_FULL, "writeback_jobs", "60")


def copies_and_commit(author: Author) -> str:
    """A pass that skips a block, and then commits a newer one of its sector, which frees it."""
    author.geometry = Geometry(512, 16, 16)
    author.extra["origin_delay"] = 300
    author.do("open")
    for _ in range(3):
        _begin_write(author, 2, 1)
        _begin_write(author, 1, 2)
        _begin_write(author, 1, 2)
        author.do("read", 0, 4)
        author.do("flush")
        author.do("write", 0, 4, author.new_tag())
        author.do("read", 0, 4)
    return author.table(*AT_ONCE)


STORIES = (
    claims,
    misaligned,
    beyond,
    odd_origin,
    spaces,
    full_runs,
    late_autocommit,
    late_max_age,
    paused_suspend,
    copies_overtaken,
    copies_awaited,
    copies_and_messages,
    copies_and_suspend,
    copies_throttled,
    copies_and_limit,
    copies_and_commit,
)
