"""What of the specification no step of a recorded trace can reach, and why.

By module, each place as `line that leaves -> line it leads to` (a line by itself: twice), without
indentation.  An entry that is reached after all is an error, and so is one that describes no line.
"""

from typing import Final

NO_KERNEL: Final = {
    "ordered": "a container: what a red-black tree and the lists are made of here",
    "vector": "a container: what an array is made of here",
    "invariants": "what must hold in every state; no kernel looks at it",
    "mended": "what repairs do",
    "repairs": "which repairs there are",
}
"""Modules that describe nothing a kernel does."""

OF_REPAIRS: Final = ("mends(", "must_stop(", "wc.unwritten", "ALL_REPAIRS")
"""A line with one of these is where a repair leaves what the kernel does."""

_IO_ERROR: Final = (
    "an I/O error under persistent memory: the emulated machine has no target for that"
)
_EXHAUSTIVE: Final = "there is no other case"
_MISUSE: Final = "misuse of the function, which no kernel commits"
_NO_PACKAGE: Final = "6.12.117 and later in its series: no packaged user-mode kernel yet"
_HUGE: Final = "a cache device of at least {}"


def _by_itself(line: str) -> str:
    return f"{line} -> {line}"


UNRECORDED: Final[dict[str, dict[str, str]]] = {
    "arguments": {
        "if block_size < max(devices[name].logical_block_size for name in words[1:3]): -> "
        'return Refusal("EINVAL", "Block size is smaller than device logical block size")': (
            "user-mode disks have logical blocks of 512 bytes, the smallest there are"
        ),
    },
    "codec": {
        "if len(data) < SUPERBLOCK_SIZE: -> "
        'raise ValueError(f"a superblock has {SUPERBLOCK_SIZE} bytes, not {len(data)}")': _MISUSE,
        "if len(data) % ENTRY_SIZE: -> raise ValueError("
        'f"entries have {ENTRY_SIZE} bytes each, and {len(data)} are no multiple")': _MISUSE,
        **dict.fromkeys(
            map(
                _by_itself,
                (
                    "words = [word for entry in entries for word in entry]",
                    'return struct.pack(f"<{len(words)}Q", *words)',
                ),
            ),
            "for those who craft images",
        ),
    },
    "commit": {
        "case SuperblockWrite.BLOCK: -> return config.block_sectors": (
            "the described source: 5.10.51 to 5.14, of which no user-mode kernel is packaged"
        ),
        "case SuperblockWrite.AT_LEAST_4K: -> "
        "return Sector(min(sectors_of(wanted), config.metadata_sectors))": _EXHAUSTIVE,
    },
    "construct": {
        "if bitmap_bits(size.metadata_size) > MAXIMUM_BITMAP_BITS: -> "
        'return Refusal("EFBIG", "Invalid device size")': _HUGE.format("4 PiB"),
        "if not device.is_persistent_memory or not device.is_synchronous: -> "
        "return ASYNCHRONOUS_MEMORY": ("the emulated machine's memory is synchronous"),
        "if device.size < page_size or bytes_of(device.first_sector) % page_size: -> "
        'return Refusal("EINVAL", "Unable to map persistent memory for cache")': (
            "what is no whole page, or begins inside one, has no DAX there"
        ),
    },
    "endio": {
        'if failed: -> wc = report_error(wc, transcript, "write error")': _IO_ERROR,
    },
    "layout": {
        "if n_blocks >= (U64 - SUPERBLOCK_SIZE) // ENTRY_SIZE: -> return SizeError.EFBIG": (
            _HUGE.format("2^69 bytes")
        ),
        "if n_blocks >= 2**INDEX_BITS: -> return SizeError.EFBIG": _HUGE.format("2^70 bytes"),
    },
    "map": {
        "case Op.DISCARD: -> exit": _EXHAUSTIVE,
        "case BioPrivate.IN_PROGRESS | BioPrivate.FUA_IN_PROGRESS: -> exit": _EXHAUSTIVE,
        "if event.private is BioPrivate.FUA_IN_PROGRESS and not event.failed: -> "
        "wc = wc._replace(flush_list=(*wc.flush_list, event.bio))": _NO_PACKAGE,
    },
    "map_write": {
        "if not run.overwrites or overwrites_count: -> return stats._replace(": _NO_PACKAGE,
    },
    "profile": {
        'if (6, 12, 117) <= series < (6, 13, 0): -> return PROFILES["1.6.0-6.12.117"]': _NO_PACKAGE,
        "if found is None: -> "
        'raise ValueError(f"{release!r} does not begin with a kernel\'s version")': _MISUSE,
        _by_itself('return ".".join(map(str, self.target_version))'): "for people",
    },
    "step": {
        "case Resume(): -> case _:": _EXHAUSTIVE,
        "case Phase.NO_PROGRESS | Phase.DRAIN: -> exit": _EXHAUSTIVE,
    },
    "write_jobs": {
        "if first + written * wc.config.block_sectors < wc.data_device_sectors: -> "
        "taken.append(block)": "an origin of persistent memory that has shrunk",
    },
    "writeback_submit": {
        "if wc.error or not n_blocks: -> "
        "return wc._replace(endio_list=(*wc.endio_list, (job, wc.error)))": (
            "an error between two submissions, or an origin of persistent memory that has shrunk"
        ),
    },
}
