"""Resume: rebuild the cache from what its device holds.  Also the recovery after a crash.

1. Read the metadata, and decide of every entry what it is (`recovery`).
2. In SSD mode flush the cache device: after a flush that failed it may still lose what was just
   read from it.
3. Where anything was erased write the whole metadata area, and flush.

A power loss in between finds entries erased or not, and the same winners either way.  A resume
after an error goes on with what is in memory, because the device missed writes: reads stay right.
"""

import errno

from writecache_impl.engine import commit
from writecache_impl.engine.errors import UnusableDeviceError
from writecache_impl.engine.recovery import Found
from writecache_impl.engine.state import Cache
from writecache_spec.codec import decode_superblock
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE
from writecache_spec.units import U64_MAX, sectors_of


def resume(wc: Cache, strict: bool = False) -> None:
    """Let requests come.

    A cache is refused whose metadata cannot be read, because all reads would go to the origin,
    which is out of date; with `strict` also one that has blocks for behind the origin's end,
    because what they hold could only be dropped: UnusableDeviceError, and nothing has been changed
    on the devices.  Linux resumes both.  OSError where the cache device cannot be prepared.
    """
    entries = wc.entries
    wc.origin_sectors = sectors_of(wc.origin.size)
    if wc.error and wc.recovered and entries.n_free < entries.n_blocks:
        wc.suspended = False
        return
    _read(wc)
    entries.clear()
    found = entries.scan(wc.seq_count)
    if strict:
        _check_origin(wc, found)
    wc.cache.prepare()
    for index in found.erased:
        entries.seq_counts[index] = U64_MAX
        if wc.config.pmem_mode:
            wc.store(SUPERBLOCK_SIZE + int(index) * ENTRY_SIZE + 8, 8)
    entries.adopt(found.cached, found.free, wc.now())
    wc.unwritten.clear()
    wc.recovered, wc.suspended = True, False
    for complaint in found.identical:
        wc.fail(complaint)
    if not wc.config.pmem_mode:
        commit.disk_flush(wc)
    if len(found.erased):
        commit.mark_all_dirty(wc)
        commit.write_metadata(wc)
    wc.verify_watermark()
    if wc.config.max_age != U64_MAX:
        wc.max_age_at = wc.now() + wc.config.max_age_ticks
    wc.kick()


def _read(wc: Cache) -> None:
    """Read the metadata, from memory no more than there is; raises UnusableDeviceError."""
    config = wc.config
    size = config.metadata_size
    if config.pmem_mode:
        size = SUPERBLOCK_SIZE + config.n_blocks * ENTRY_SIZE
    try:
        wc.metadata[:size] = wc.cache.read(config.start, size)
    except OSError as error:
        message = f"the metadata of {wc.cache.name} cannot be read: {error.strerror}"
        raise UnusableDeviceError(errno.EIO, message) from error
    wc.seq_count = decode_superblock(bytes(wc.metadata[:SUPERBLOCK_SIZE])).seq_count


def _check_origin(wc: Cache, found: Found) -> None:
    beyond = wc.entries.count_beyond(found.cached, wc.origin_sectors)
    if beyond:
        raise UnusableDeviceError(
            errno.EINVAL, f"{wc.origin.name} is too small: {beyond} dirty blocks lie behind its end"
        )
