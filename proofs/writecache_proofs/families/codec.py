"""The on-disk codec: every superblock and every entry there can be, and every content of their
bytes.

Subjects: the four functions of `codec`, with `struct` replaced by a stand-in (`structs`); that this
stand-in is what `struct` does is checked on its own.
"""

import struct
from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.families.structs import StandIn, octets, symbolic_codec
from writecache_proofs.symbolic import Run, all_of
from writecache_proofs.theorem import Family, Kind, Twin
from writecache_spec.codec import (
    SUPERBLOCK_FIELDS,
    decode_entries,
    decode_superblock,
    encode_entries,
    encode_superblock,
)
from writecache_spec.layout import MemoryEntry, Superblock
from writecache_spec.units import U64_MAX, Sector, SequenceCount

CODEC: Final = Family("codec", __name__)
_U32_MAX: Final = 2**32 - 1


_EXCHANGED: Final = Twin(
    "the fields are exchanged",
    (
        Edit(
            decode_entries,
            "MemoryEntry(Sector(sector), SequenceCount(seq_count))",
            "MemoryEntry(Sector(seq_count), SequenceCount(sector))",
        ),
    ),
)


def _same(a: Any, b: Any) -> Any:
    return all_of([len(a) == len(b), *(x == y for x, y in zip(a, b, strict=False))])


def _any_superblock(run: Run) -> Superblock:
    a, b, c, d = (run.bits(f"reserved {number}", 0, U64_MAX) for number in range(4))
    return Superblock(
        magic=run.bits("magic", 0, _U32_MAX),
        version=run.bits("version", 0, _U32_MAX),
        block_size=run.bits("block_size", 0, _U32_MAX),
        pad=run.bits("pad", 0, _U32_MAX),
        n_blocks=run.bits("n_blocks", 0, U64_MAX),
        seq_count=run.bits("seq_count", 0, U64_MAX),
        reserved=(a, b, c, d),
    )


@CODEC.theorem(
    Twin("two fields are exchanged", (
        Edit(decode_superblock, "magic, version, block_size, pad, n_blocks, seq_count, *reserved =",
             "version, magic, block_size, pad, n_blocks, seq_count, *reserved ="),)),
)  # fmt: skip
def a_superblock_comes_back_from_its_bytes(run: Run) -> None:
    """Any superblock, encoded into 64 bytes and decoded, is the same."""
    superblock = _any_superblock(run)
    with symbolic_codec(run):
        data = encode_superblock(superblock)
        back = decode_superblock(data)
    run.claim(len(data) == 64, "64 bytes")
    run.claim(_same([*back[:6], *back.reserved], [*superblock[:6], *superblock.reserved]), "same")


@CODEC.theorem(
    Twin("the pad is not written back", (
        Edit(encode_superblock, "*superblock[:6]", "*superblock[:3], 0, *superblock[4:6]"),)),
)  # fmt: skip
def any_64_bytes_are_a_superblock_and_come_back(run: Run) -> None:
    """Any 64 bytes decode to a superblock, and encoding it yields these bytes: none of them is
    lost."""
    data = octets(run, "byte", 64)
    with symbolic_codec(run):
        back = encode_superblock(decode_superblock(data))
    run.claim(_same(back, data), "the same bytes")


@CODEC.theorem(
    _EXCHANGED,
    bound="3 entries",
)  # fmt: skip
def entries_come_back_from_their_bytes(run: Run) -> None:
    """Any entries, encoded into 16 bytes each and decoded, are the same, in the same order."""
    entries = [
        MemoryEntry(
            Sector(run.bits(f"sector {number}", 0, U64_MAX)),
            SequenceCount(run.bits(f"count {number}", 0, U64_MAX)),
        )
        for number in range(3)
    ]
    with symbolic_codec(run):
        data = encode_entries(entries)
        back = decode_entries(data)
    run.claim(len(data) == 48, "16 bytes each")
    run.claim(all_of(_same(a, b) for a, b in zip(back, entries, strict=True)), "the same entries")


@CODEC.theorem(
    _EXCHANGED,
    bound="2 entries",
)  # fmt: skip
def any_bytes_are_entries_and_come_back(run: Run) -> None:
    """Any 32 bytes decode to two entries, and encoding them yields these bytes."""
    data = octets(run, "byte", 32)
    with symbolic_codec(run):
        back = encode_entries(decode_entries(data))
    run.claim(_same(back, data), "the same bytes")


@CODEC.theorem(
    Twin("a field's place is taken for its neighbour's", (
        Edit(decode_superblock, "magic, version, block_size, pad, n_blocks, seq_count, *reserved =",
             "magic, version, pad, block_size, n_blocks, seq_count, *reserved ="),)),
    kind=Kind.CHECKED, bound="each byte alone, all 256 values",
)  # fmt: skip
def each_field_lies_where_it_is_said_to(run: Run) -> None:
    """Each byte of a superblock belongs to the field whose place `SUPERBLOCK_FIELDS` says,
    little-endian."""
    wrong = []
    for field, (begin, end) in SUPERBLOCK_FIELDS.items():
        for position in range(begin, end):
            for value in range(256):
                data = bytes(position) + bytes([value]) + bytes(63 - position)
                found = getattr(decode_superblock(data), field)
                if field == "reserved":
                    found = found[(position - begin) // 8]
                if found != value << 8 * ((position - begin) % (8 if field == "reserved" else 16)):
                    wrong.append(position)
    run.claim(not wrong, "the byte's value, at its place")


def _refuses(call: Any, length: int) -> bool:
    try:
        call(bytes(length))
    except ValueError:
        return True
    return False


@CODEC.theorem(
    Twin("a superblock may be short", (
        Edit(decode_superblock, "< SUPERBLOCK_SIZE:", "< SUPERBLOCK_SIZE - 8:"),)),
    Twin("entries may be cut", (
        Edit(decode_entries, "if len(data) % ENTRY_SIZE", "if len(data) % 8"),)),
    kind=Kind.CHECKED, bound="lengths up to 200 bytes",
)  # fmt: skip
def every_other_length_is_refused(run: Run) -> None:
    """Fewer than 64 bytes are no superblock and a length that is no multiple of 16 no entries: both
    are refused by name; all other lengths are decoded."""
    lengths = range(200)
    short = all(_refuses(decode_superblock, length) == (length < 64) for length in lengths)
    cut = all(_refuses(decode_entries, length) == bool(length % 16) for length in lengths)
    run.claim(short, "superblocks")
    run.claim(cut, "entries")


@CODEC.theorem(
    Twin("big-endian", (
        Edit(StandIn.pack, "for position in range(size)]",
             "for position in reversed(range(size))]"),)),
    kind=Kind.CHECKED, bound="each byte of each number alone, six values",
)  # fmt: skip
def the_stand_in_is_what_struct_does(run: Run) -> None:
    """The stand-in for `struct` packs and unpacks as the module does."""
    wrong = []
    for text in ("<IIIIQQ4Q", "<QQ"):
        stand_in, real = StandIn(text), struct.Struct(text)
        if stand_in.size != real.size:
            wrong.append(text)
        for field, size in enumerate(stand_in.sizes):
            for shift in range(0, 8 * size, 8):
                for value in range(0, 256, 51):
                    numbers = [3] * len(stand_in.sizes)
                    numbers[field] = value << shift
                    packed = [
                        int(str(octet.term.as_long())) for octet in _simple(stand_in, numbers)
                    ]
                    if bytes(packed) != real.pack(*numbers):
                        wrong.append(text)
    run.claim(not wrong, "the same bytes")


def _simple(stand_in: StandIn, numbers: list[int]) -> list[Any]:
    import z3

    found = stand_in.pack(*numbers).values
    for octet in found:
        octet.term = z3.simplify(octet.term)
    return found
