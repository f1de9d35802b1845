"""The on-disk format: figures and tables from the layout's own data, and a cache in bytes."""

from dataclasses import replace
from typing import Final

from writecache_docs.markdown import code, quoted, table
from writecache_docs.source import classes
from writecache_docs.svg import Figure
from writecache_models.fixtures import shipped_vectors
from writecache_models.observations import new_machine, observe, perform
from writecache_models.vectors import Trace, read_traces
from writecache_spec.codec import SUPERBLOCK_FIELDS, decode_entries, decode_superblock
from writecache_spec.events import Device
from writecache_spec.layout import (
    ENTRY_SIZE,
    SUPERBLOCK_SIZE,
    MemoryEntry,
    MemorySize,
    calculate_memory_size,
    is_committed,
)
from writecache_spec.profile import profile_for_kernel
from writecache_spec.units import U64_MAX

ENTRY_FIELDS: Final = {"original_sector": (0, 8), "seq_count": (8, 16)}
"""As `codec` packs them: tests compare."""


def superblock_table() -> str:
    """The fields of a superblock."""
    return _fields_table("Superblock", SUPERBLOCK_FIELDS)


def entry_table() -> str:
    """The fields of an entry."""
    return _fields_table("MemoryEntry", ENTRY_FIELDS)


def _fields_table(name: str, fields: dict[str, tuple[int, int]]) -> str:
    words = {field.name: field.words for field in classes("layout")[name].fields}
    assert words.keys() == fields.keys(), f"the layout of {name} has other fields"
    rows = [
        (f"{first}", f"{end - first}", f"`{field}`", quoted(words[field]))
        for field, (first, end) in fields.items()
    ]
    return table(["offset", "bytes", "field", ""], rows)


def superblock_figure() -> str:
    """The superblock, 16 bytes a line."""
    return _bytes_figure("The superblock: 64 bytes", SUPERBLOCK_FIELDS, SUPERBLOCK_SIZE)


def entry_figure() -> str:
    """An entry, 16 bytes."""
    return _bytes_figure("An entry: 16 bytes", ENTRY_FIELDS, ENTRY_SIZE)


def _bytes_figure(title: str, fields: dict[str, tuple[int, int]], size: int) -> str:
    cell, line_height, left = 34.0, 40.0, 36.0
    n_lines = size // 16
    figure = Figure(left + 16 * cell + 2, n_lines * line_height + 22, title)
    for byte in range(16):
        figure.text(left + (byte + 0.5) * cell, 14, str(byte), "quiet", "middle")
    for line in range(n_lines):
        figure.text(left - 6, 20 + line * line_height + 24, str(line * 16), "quiet", "end")
    for name, (first, end) in fields.items():
        for line in range(first // 16, (end - 1) // 16 + 1):
            begin, stop = max(first, line * 16) % 16, (min(end, line * 16 + 16) - 1) % 16 + 1
            x, y = left + begin * cell, 20 + line * line_height
            figure.box(x, y, (stop - begin) * cell, line_height, "", name)
    return figure.html(f"{title}. Numbers are byte offsets; every number is little-endian.")


def device_figure(device_size: int = 262144, block_size: int = 4096) -> str:
    """A small device, its areas in their order and not to scale."""
    size = calculate_memory_size(device_size, block_size)
    assert isinstance(size, MemorySize)
    metadata, n_blocks = size.metadata_size, size.n_blocks
    end = metadata + n_blocks * block_size
    entries_end = SUPERBLOCK_SIZE + n_blocks * ENTRY_SIZE
    parts = [
        ("superblock", "committed", 0, 92),
        ("entry 0", "uncommitted", SUPERBLOCK_SIZE, 70),
        ("entry 1", "uncommitted", SUPERBLOCK_SIZE + ENTRY_SIZE, 70),
        ("…", "uncommitted", None, 24),
        (f"entry {n_blocks - 1}", "uncommitted", entries_end - ENTRY_SIZE, 74),
        ("padding", "free", entries_end, 64),
        ("block 0", "writeback", metadata, 66),
        ("block 1", "writeback", metadata + block_size, 66),
        ("…", "writeback", None, 24),
        (f"block {n_blocks - 1}", "writeback", end - block_size, 76),
    ]
    parts += [("unused", "free", end, 70)] if end < device_size else []
    figure = Figure(sum(width for *_, width in parts) + 60, 76, "A cache device")
    x = 4.0
    for text, kind, offset, width in parts:
        figure.box(x, 8, width, 36, kind, text)
        if offset is not None:
            figure.text(x, 60, f"{offset:#x}", "quiet")
        x += width
    figure.text(x, 60, f"{device_size:#x}", "quiet")
    caption = (
        f"A device of {device_size:,} bytes with blocks of {block_size:,}: {n_blocks} blocks,"
        f" {metadata:,} bytes of metadata. Offsets from start_sector; not to scale."
    )
    return figure.html(caption)


DUMPED: Final = ("sid.jsonl.xz", "plain-ship-82", 10)
"""A recorded file, a trace in it, and after how many of its steps the device is shown."""


class DumpError(Exception):
    """The bytes are not those that the kernel had on its device."""


def recorded_cache() -> tuple[Trace, bytes]:
    """The trace, and the metadata area that the reference has after its steps.

    Raises DumpError unless the whole device's digest is the one that the kernel's recorder noted.
    """
    file, name, n_steps = DUMPED
    (path,) = [path for path in shipped_vectors() if path.name == file]
    trace = next(one for one in read_traces(path) if one.name == name)
    trace = replace(trace, steps=trace.steps[:n_steps])
    assert trace.kernel is not None
    assert trace.target is not None
    machine = new_machine(trace, profile_for_kernel(trace.kernel, trace.target))
    for op, seen in trace.steps:
        ours = observe(machine, op, perform(machine, op, trace.table))
        if ours["cache"] != seen["cache"]:
            raise DumpError(f"{name}, {op}: {ours['cache']} where {seen['cache']} was recorded")
    assert machine.wc is not None
    n_sectors = machine.wc.config.metadata_sectors
    return trace, machine.devices.read(Device.CACHE, 0, n_sectors)


def hex_dump() -> str:
    """The superblock and the entries in use of a recorded cache, annotated."""
    trace, data = recorded_cache()
    superblock = decode_superblock(data)
    lines = [_hex(0, data) + f"magic, version {superblock.version}, block_size"
             f" {superblock.block_size}, pad",
             _hex(16, data) + f"n_blocks {superblock.n_blocks}, seq_count {superblock.seq_count}",
             _hex(32, data) + "reserved", _hex(48, data) + "reserved"]  # fmt: skip
    end = SUPERBLOCK_SIZE + superblock.n_blocks * ENTRY_SIZE
    entries = decode_entries(data[SUPERBLOCK_SIZE:end])
    used = [number for number, entry in enumerate(entries) if entry.seq_count != U64_MAX]
    n_shown = min(max(used) + 2, len(entries))
    for number, entry in enumerate(entries[:n_shown]):
        lines.append(_hex(SUPERBLOCK_SIZE + number * ENTRY_SIZE, data) + _meaning(
            number, entry, superblock.seq_count))  # fmt: skip
    lines.append(f"...     entries {n_shown} to {len(entries) - 1}: free; then padding")
    steps = "\n".join(" ".join(map(str, op)) for op, _ in trace.steps)
    about = (
        f"Linux {trace.kernel} had these bytes on its cache device after the steps of the recorded"
        f" trace `{trace.name}`: the SHA-256 of the whole device, noted by the recorder after each"
        f" step (`{trace.steps[-1][1]['cache']}` at the end), is that of the bytes below."
    )
    return f"{about}\n\n{code(trace.table + chr(10) + steps)}\n\n{code(chr(10).join(lines))}"


def _hex(offset: int, data: bytes) -> str:
    part = data[offset : offset + 16]
    return f"{offset:04x}    {part[:8].hex(' ')}  {part[8:].hex(' ')}    "


def _meaning(number: int, entry: MemoryEntry, seq_count: int) -> str:
    if entry.seq_count == U64_MAX:
        return f"entry {number}: free"
    state = "committed" if is_committed(entry.seq_count, seq_count) else "not committed"
    return f"entry {number}: sector {entry.original_sector}, count {entry.seq_count}: {state}"
