"""What of the specification no world can reach, and why; as `unrecorded` for recorded traces."""

from typing import Final

NO_WORLD: Final = {
    "ordered": "a container: what a red-black tree and the lists are made of here",
    "vector": "a container: what an array is made of here",
    "arguments": "text: a world's table is well-formed; recorded vectors judge the others",
    "numbers": "text: a world's table is well-formed; recorded vectors judge the others",
    "profile": "which kernel is described; nothing that a cache does",
    "codec": "bytes: a world's disks hold symbols; recorded vectors judge the codec",
}
"""Modules that describe nothing that happens in a world."""

_EXHAUSTIVE: Final = "there is no other case"
_SIZE: Final = "a world's cache device has room for its entries, and few of them"
_IO_ERROR: Final = "an I/O that fails while a table is loaded or resumed: a world fails none there"
_SHRINKS: Final = "the origin shrinks: a world's keeps its size, which crashes are judged by"

UNWALKED: Final[dict[str, dict[str, str]]] = {
    "commit": {
        "case SuperblockWrite.AT_LEAST_4K: -> "
        "return Sector(min(sectors_of(wanted), config.metadata_sectors))": _EXHAUSTIVE,
    },
    "construct": {
        "if isinstance(arguments, Refusal): -> return Construction(arguments)": (
            "text: a world's table is well-formed; recorded vectors judge the others"
        ),
        "if isinstance(size, SizeError): -> "
        'return Construction(Refusal(size.value, "Invalid device size"))': _SIZE,
        "if bitmap_bits(size.metadata_size) > MAXIMUM_BITMAP_BITS: -> "
        'return Construction(Refusal("EFBIG", "Invalid device size"))': _SIZE,
        "if superblock is None: -> "
        'return Construction(Refusal("EIO", "Unable to read first block of metadata"))': _IO_ERROR,
    },
    "invariants": {
        "if any(entry.seq_count > wc.seq_count for entry in entries): -> return True": (
            "the sequence count wraps: after 2^64 commits"
        ),
    },
    "layout": {
        "if n_blocks == 0: -> return SizeError.ENOSPC": _SIZE,
        "if n_blocks >= (U64 - SUPERBLOCK_SIZE) // ENTRY_SIZE: -> return SizeError.EFBIG": _SIZE,
        "if n_blocks >= 2**INDEX_BITS: -> return SizeError.EFBIG": _SIZE,
    },
    "map": {
        "case Op.DISCARD: -> exit": _EXHAUSTIVE,
        "case BioPrivate.IN_PROGRESS | BioPrivate.FUA_IN_PROGRESS: -> exit": _EXHAUSTIVE,
    },
    "resume": {
        "if event.metadata is None: -> "
        'wc = report_error(wc, transcript, "unable to read metadata")': _IO_ERROR,
        "if event.metadata is None or ( -> "
        "on_disk = (MemoryEntry(FREE.original_sector, FREE.seq_count),) * wc.config.n_blocks": (
            "an I/O error, or an error on a kernel that handles machine checks: no profile does"
        ),
    },
    "step": {
        "case Resume(): -> case _:": _EXHAUSTIVE,
        "case Phase.NO_PROGRESS | Phase.DRAIN: -> exit": _EXHAUSTIVE,
    },
    "writeback_submit": {
        "if wrap64(job.original_sector + n_sectors) > wc.data_device_sectors: -> "
        "if job.original_sector >= wc.data_device_sectors:": _SHRINKS,
        "if job.original_sector >= wc.data_device_sectors: -> "
        "return wc._replace(endio_list=(*wc.endio_list, (job, False)))": _SHRINKS,
        "if job.original_sector >= wc.data_device_sectors: -> "
        "n_sectors = wc.data_device_sectors - job.original_sector": _SHRINKS,
    },
}
