"""The devices hold what the effects say, to the byte."""

import hashlib
import struct

import pytest
from builders import cache, committed, drive, formatted, on_disk, write
from hypothesis import given
from hypothesis import strategies as st

from writecache_models.content import CHUNK_SIZE, Content
from writecache_models.devices import (
    Devices,
    OutOfRangeError,
    pattern,
)
from writecache_models.digests import (
    content_digest,
    masked_digest,
    undefined_range,
    undefined_ranges,
)
from writecache_spec.codec import encode_superblock
from writecache_spec.effects import Metadata, WriteMetadata
from writecache_spec.events import Device, FlushWork
from writecache_spec.layout import MAGIC, Superblock
from writecache_spec.state import FREE, Entry
from writecache_spec.step import step
from writecache_spec.units import Sector
from writecache_spec.vector import Vector

CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 9999), st.integers(0, 2**64 - 1)),
        st.tuples(st.just("write"), st.integers(0, 2), st.integers(1, 3)),
        st.tuples(st.just("superblock"), st.sampled_from((1, 8)), st.integers(0, 2**64 - 1)),
        st.tuples(st.just("again"), st.just(0), st.just(0)),
    ),
    max_size=25,
)


def naive(superblock: Superblock, entries: Vector[Entry], size: int) -> bytes:
    """The whole metadata area, written out the dull way."""
    head = (superblock.magic, superblock.version, superblock.block_size, superblock.pad)
    words = (superblock.n_blocks, superblock.seq_count, *superblock.reserved)
    content = struct.pack("<4I", *head) + struct.pack("<6Q", *words)
    for entry in entries:
        content += struct.pack("<QQ", entry.original_sector, entry.seq_count)
    return content.ljust(size, b"\0")


@given(st.sampled_from((3, 40, 4091, 4093, 5000, 9000)), st.sampled_from((0, 3)), CHANGES)
def test_writing_what_changed_equals_writing_everything(
    n_blocks: int, start: int, changes: list[tuple[str, int, int]]
) -> None:
    sectors = (64 + 16 * n_blocks + 511) // 512
    devices = Devices(Content(512 * (sectors + start)), Content(0))
    expected = bytearray(len(devices.cache))
    superblock, entries = Superblock(MAGIC, 1, 512, 0, n_blocks), Vector([FREE] * n_blocks)
    history = entries
    for kind, first, second in changes:
        if kind == "set":
            entries = entries.set(first % n_blocks, Entry(first, second))
            continue
        if kind == "again":
            # Another table's vector: equal in part, its leaves not the same objects.
            entries, history = Vector(history), entries
            continue
        begin, length = (128 * first, 128 * second) if kind == "write" else (0, first)
        if begin >= sectors:
            continue
        if kind == "superblock":
            superblock = superblock._replace(seq_count=second)
        length = min(length, sectors - begin)
        effect = WriteMetadata(Sector(begin), Sector(length), Metadata(superblock, entries))
        devices.write_metadata(Sector(start), effect)
        whole = naive(superblock, entries, 512 * sectors)
        at = 512 * (start + begin)
        end_of_entries = 64 + 16 * n_blocks
        upto = min(512 * (begin + length), end_of_entries)
        if upto > 512 * begin:
            expected[at : 512 * start + upto] = whole[512 * begin : upto]
        assert bytes(devices.cache) == expected


def test_a_fork_is_independent() -> None:
    wc = write(cache(n_blocks=50), 3)
    effects = [e for e in step(wc, FlushWork()).effects if isinstance(e, WriteMetadata)]
    devices = Devices(Content(512 * 80), Content(512))
    for effect in effects:
        devices.write_metadata(Sector(0), effect)
    before = bytes(devices.cache)
    fork = devices.fork()
    later = write(committed(wc), 9)
    for effect in step(later, FlushWork()).effects:
        if isinstance(effect, WriteMetadata):
            fork.write_metadata(Sector(0), effect)
    assert bytes(devices.cache) == before
    assert bytes(fork.cache) != before
    assert fork.cache.read(0, 64 + 16 * 50) == naive(
        committed(later).superblock, committed(later).entries, 64 + 16 * 50
    )


def test_metadata_reads_back_as_it_was_written() -> None:
    wc = formatted(n_blocks=40)
    devices = Devices(Content(512 * 60), Content(512))
    assert devices.superblock(0) == Superblock()
    state = write(cache(n_blocks=40), 3, 4)
    for effect in step(state, FlushWork()).effects:
        if isinstance(effect, WriteMetadata):
            devices.write_metadata(Sector(0), effect)
    state = committed(state)
    superblock, entries = devices.metadata(wc.config)
    assert superblock == state.superblock
    assert entries == on_disk(*((3 + i, 0) for i in range(4)), *[None] * 36)
    assert devices.superblock(60) is None
    assert drive(state) == state


def test_reads_writes_copies_and_discards_move_sectors() -> None:
    devices = Devices(Content(512 * 8), Content(512 * 8))
    devices.write(Device.CACHE, 2, pattern(9, 2, 77))
    assert devices.read(Device.CACHE, 3, 1) == struct.pack("<QQ", 77, 10) * 32
    devices.copy(2, 5, 2)
    assert devices.read(Device.ORIGIN, 4, 4) == bytes(512) + pattern(9, 2, 77) + bytes(512)
    devices.discard(Device.ORIGIN, 5, 1)
    assert devices.read(Device.ORIGIN, 5, 2) == bytes(512) + pattern(10, 1, 77)


def test_an_io_beyond_the_end_is_refused_and_changes_nothing() -> None:
    devices = Devices(Content(512 * 4), Content(512 * 2))
    with pytest.raises(OutOfRangeError):
        devices.read(Device.CACHE, 3, 2)
    with pytest.raises(OutOfRangeError):
        devices.write(Device.ORIGIN, 1, bytes(b"x" * 1024))
    with pytest.raises(OutOfRangeError):
        devices.copy(0, 1, 2)
    with pytest.raises(OutOfRangeError):
        devices.discard(Device.ORIGIN, 2, 1)
    assert (devices.cache, devices.origin) == (Content(512 * 4), Content(512 * 2))


def image(superblock: Superblock, sectors: int = 12) -> bytearray:
    data = bytearray(b"\xaa" * 512 * sectors)
    data[:64] = encode_superblock(superblock)
    return data


def masked(data: bytearray, *starts: int) -> str:
    return masked_digest(bytes(data), undefined_ranges(bytes(data), map(Sector, starts)))


GOOD = Superblock(MAGIC, 1, 512, 0, 8)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def test_a_digest_takes_undefined_metadata_as_zero() -> None:
    data = image(GOOD)
    assert undefined_range(bytes(data), 0) == (64 + 128, 512)
    zeroed = bytes(data[:192]) + bytes(320) + bytes(data[512:])
    assert masked(data, 0) == digest(zeroed) != digest(bytes(data))
    data[300] = 1
    assert masked(data, 0) == digest(zeroed)
    for position in (0, 191, 512):
        other = bytearray(data)
        other[position] ^= 1
        assert masked(other, 0) != digest(zeroed)


@pytest.mark.parametrize(
    "superblock",
    [
        GOOD._replace(magic=1),
        GOOD._replace(block_size=1000),
        GOOD._replace(n_blocks=0),
        GOOD._replace(n_blocks=12),
        GOOD._replace(n_blocks=2**60),
    ],
)
def test_without_a_valid_superblock_nothing_is_masked(superblock: Superblock) -> None:
    data = image(superblock)
    assert undefined_range(bytes(data), 0) is None
    assert masked(data, 0, 12, 99) == digest(bytes(data))


def test_overlapping_metadata_areas_are_masked_together() -> None:
    data = image(GOOD._replace(block_size=4096, n_blocks=1), 40)
    data[512 : 512 + 64] = encode_superblock(GOOD._replace(block_size=4096, n_blocks=1))
    (low, high), (low2, high2) = (undefined_range(bytes(data), start) for start in (0, 1))  # type: ignore[misc]
    assert low < low2 < high < high2
    zeroed = bytearray(data)
    for begin, end in ((low, high), (low2, high2)):
        zeroed[begin:end] = bytes(end - begin)
    for starts in ((0, 1), (1, 0), (0, 1, 0)):
        assert masked(data, *starts) == digest(bytes(zeroed))


def test_digests_have_16_digits() -> None:
    assert content_digest(b"abc") == digest(b"abc")
    devices = Devices(Content(512), Content(1024))
    whole = digest(bytes(512)), digest(bytes(1024))
    assert devices.digests([Sector(0)], frozenset()) == (*whole, frozenset())


def test_what_was_undefined_stays_so() -> None:
    """Also when the superblock that told of it is written over."""
    devices = Devices(Content(512 * 12, bytes(image(GOOD))), Content(512))
    *_, undefined = devices.digests([Sector(0)], frozenset())
    assert undefined == {(64 + 128, 512)}
    devices.write(Device.CACHE, 0, bytes(512))
    without = bytes(512) + b"\xaa" * 512 * 11
    for tail in (0, 1):
        devices.cache = devices.cache.write(300, bytes([tail]))
        cache, _, still = devices.digests([Sector(0)], undefined)
        assert (cache, still) == (digest(without), undefined)


@given(
    st.sampled_from((0, 1, 4095, 4096, 9000, 200_000)),
    st.binary(max_size=6000),
    st.lists(st.tuples(st.integers(0, 200_000), st.binary(max_size=9000)), max_size=6),
)
def test_content_is_a_string_of_bytes_that_keeps_its_old_versions(
    size: int, given_: bytes, changes: list[tuple[int, bytes]]
) -> None:
    if len(given_) > size:
        with pytest.raises(ValueError, match="do not fit"):
            Content(size, given_)
        return
    content, expected = Content(size, given_), given_.ljust(size, b"\0")
    versions = [(content, expected)]
    for first, piece in changes:
        if first + len(piece) > size:
            with pytest.raises(IndexError):
                content.write(first, piece)
            with pytest.raises(IndexError):
                content.read(first, len(piece))
            continue
        content = content.write(first, piece)
        expected = expected[:first] + piece + expected[first + len(piece) :]
        assert content.read(first, len(piece)) == piece
        versions.append((content, expected))
    for version, whole in versions:
        assert bytes(version) == whole == version.read(0, size)
        assert len(version) == size
    assert content == Content(size, expected)
    assert hash(content) == hash(Content(size, expected))


def test_contents_of_different_bytes_or_size_differ() -> None:
    content = Content(CHUNK_SIZE, b"a")
    assert content != Content(CHUNK_SIZE, b"b")
    assert content != Content(CHUNK_SIZE - 1, b"a")
    assert content.__eq__(b"a") is NotImplemented
