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
_MEMORY_ERROR: Final = "a hardware memory error of a load: a world has none"
_SHRINKS: Final = "the origin shrinks: a world's keeps its size, which crashes are judged by"
_FULL: Final = "a bio is full: a world has too few blocks that adjoin on the origin alone"

UNWALKED: Final[dict[str, dict[str, str]]] = {
    "commit": {
        "case SuperblockWrite.AT_LEAST_4K: -> "
        "return Sector(min(sectors_of(wanted), config.metadata_sectors))": _EXHAUSTIVE,
    },
    "invariants": {
        "if any(entry.seq_count > wc.seq_count for entry in entries): -> return True": (
            "the sequence count wraps: after 2^64 commits"
        ),
    },
    "map": {
        "case Op.DISCARD: -> exit": _EXHAUSTIVE,
        "case BioPrivate.IN_PROGRESS | BioPrivate.FUA_IN_PROGRESS: -> exit": _EXHAUSTIVE,
        'case BioPrivate.FAILED: -> transcript.tell(Complete(event.bio, "EIO"))': _MEMORY_ERROR,
    },
    "map_pmem": {
        "if transcript.has_failed: -> remap = transcript.effects.pop()": _MEMORY_ERROR,
    },
    "step": {
        "case Resume(): -> case _:": _EXHAUSTIVE,
        "case Phase.NO_PROGRESS | Phase.DRAIN: -> exit": _EXHAUSTIVE,
    },
    "write_jobs": {
        "if first + written * wc.config.block_sectors < wc.data_device_sectors: -> "
        "taken.append(block)": _SHRINKS,
        "if not adjoins and pieces == room: -> break": _FULL,
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
