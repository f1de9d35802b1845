"""Is this the right origin?  What speaks for and against it.

Nothing in a cache names its origin.  But a filesystem's superblock names the filesystem, and where
the cache has a newer one its identity must be the same; blocks cannot lie past the end; and what
an interrupted writeback brought home is on both.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image
from writecache_impl.tools.picture import BEYOND, Picture, Reader, read_block
from writecache_impl.tools.problems import counted
from writecache_spec.units import SECTOR_SIZE

SAMPLE: Final = 2048
"""Blocks that are compared with the origin."""


class Signature(NamedTuple):
    """How a filesystem is known."""

    name: str
    magic_at: int
    magic: bytes
    identity_at: int
    identity_size: int
    sectors: Callable[[bytes], int] | None = None
    """Its length in sectors, from the first 4 KiB of the device."""


def _ext_sectors(data: bytes) -> int:
    at = 1024
    high = int.from_bytes(data[at + 0x150 : at + 0x154], "little")
    incompat = int.from_bytes(data[at + 0x60 : at + 0x64], "little")
    blocks = int.from_bytes(data[at + 4 : at + 8], "little")
    blocks += (high << 32) if incompat & 0x80 else 0
    shift = int.from_bytes(data[at + 0x18 : at + 0x1C], "little")
    return (blocks << (10 + shift)) // SECTOR_SIZE if shift < 16 else 0


def _xfs_sectors(data: bytes) -> int:
    size = int.from_bytes(data[4:8], "big")
    return int.from_bytes(data[8:16], "big") * size // SECTOR_SIZE


SIGNATURES: Final = (
    Signature("ext2, ext3 or ext4", 1024 + 0x38, b"\x53\xef", 1024 + 0x68, 16, _ext_sectors),
    Signature("XFS", 0, b"XFSB", 32, 16, _xfs_sectors),
    Signature("LUKS", 0, b"LUKS\xba\xbe", 168, 40),
    Signature("LVM physical volume", 512, b"LABELONE", 512 + 32, 32),
    Signature("swap", 4086, b"SWAPSPACE2", 1024 + 12, 16),
)
"""What is within the first 4 KiB of a device."""
BTRFS: Final = Signature("Btrfs", 0x10040, b"_BHRfS_M", 0x10020, 16)


class Evidence(NamedTuple):
    """What speaks for an origin, and what against it."""

    speaks_for: list[str]
    speaks_against: list[str]
    weak: list[str]
    """What agrees, and would with many others."""

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.speaks_against:
            return "probably not"
        return "probably" if self.speaks_for else "cannot be told: nothing speaks against it"


def weigh(picture: Picture, origin: Image) -> Evidence:
    """Compare an origin with a cache."""
    evidence = Evidence([], [], [])
    _weigh_size(picture, origin, evidence)
    identities = []
    known = _weigh_filesystem(picture, origin, evidence)
    for signature in (*SIGNATURES, BTRFS):
        identity = _identity(signature, lambda at, size: _origin_bytes(origin, at, size))
        if identity and any(identity):
            identities.append((signature.name, identity))
            if not known:
                evidence.weak.append(f"it begins as {signature.name} does ({identity.hex()})")
    _weigh_content(picture, origin, identities, evidence)
    return evidence


def _weigh_size(picture: Picture, origin: Image, evidence: Evidence) -> None:
    beyond = picture.doubts.get(BEYOND, ())
    if beyond:
        last = picture.survey.live_sectors[beyond[-1]]
        evidence.speaks_against.append(
            f"{counted(len(beyond), 'block')} would lie past its end, the last at sector {last}; "
            f"it has {origin.size // SECTOR_SIZE} sectors"
        )
    elif picture.sectors:
        evidence.weak.append(
            f"all {counted(len(picture.sectors), 'block')} lie within its "
            f"{counted(origin.size // SECTOR_SIZE, 'sector')}"
        )


def _weigh_filesystem(picture: Picture, origin: Image, evidence: Evidence) -> bool:
    """Compare the filesystem's identity in the cache with the origin's; whether there is one."""
    reader = Reader(picture)
    for signature in (*SIGNATURES, BTRFS):
        cached = _identity(signature, lambda at, size: _cached_bytes(reader, at, size))
        if not cached:
            continue
        there = _identity(signature, lambda at, size: _origin_bytes(origin, at, size))
        if there == cached:
            evidence.speaks_for.append(
                f"cache and origin have a superblock of {signature.name} with the same identity "
                f"({cached.hex()})"
            )
        elif there:
            evidence.speaks_against.append(
                f"the cache has {signature.name} {cached.hex()}, the origin {there.hex()}"
            )
        else:
            continue  # it may have been made while the cache was there
        if signature.sectors is not None:
            data = _cached_bytes(reader, 0, 4096) or b""
            length = signature.sectors(data.ljust(4096, b"\0"))
            if length > origin.size // SECTOR_SIZE:
                evidence.speaks_against.append(
                    f"{signature.name} of {length} sectors does not fit into it"
                )
        return True
    return False


def _identity(signature: Signature, read: Callable[[int, int], bytes | None]) -> bytes | None:
    """What a filesystem calls itself; None where it is another."""
    if read(signature.magic_at, len(signature.magic)) != signature.magic:
        return None
    return read(signature.identity_at, signature.identity_size)


def _cached_bytes(reader: Reader, at: int, size: int) -> bytes | None:
    """Bytes of the device as far as the cache has them; None where it has not all of them."""
    parts = []
    try:
        for sector in range(at // SECTOR_SIZE, (at + size - 1) // SECTOR_SIZE + 1):
            part = reader.sector(sector)
            if part is None:
                return None
            parts.append(part)
    except (ToolError, OSError):
        return None
    within = at % SECTOR_SIZE
    return b"".join(parts)[within : within + size]


def _origin_bytes(origin: Image, at: int, size: int) -> bytes | None:
    try:
        return origin.read(at, size)
    except (ToolError, OSError):
        return None


def _weigh_content(
    picture: Picture, origin: Image, identities: list[tuple[str, bytes]], evidence: Evidence
) -> None:
    """Look into blocks of the cache for what the origin has, or is called.

    What interrupted writeback brought home is on both.  Metadata of XFS, Btrfs and the journal of
    ext4 carry the name of their filesystem.
    """
    step = max(len(picture.sectors) // SAMPLE, 1)
    equal = compared = 0
    named = dict.fromkeys(identities, 0)
    for place in range(0, len(picture.sectors), step):
        try:
            data = read_block(picture.cache, picture.blocks[place])
        except (ToolError, OSError):
            continue
        there = _origin_bytes(origin, picture.sectors[place] * SECTOR_SIZE, len(data))
        if there is None or not any(data):
            continue
        compared += 1
        equal += data == there
        for one in identities:
            named[one] += one[1] in data
    if equal:
        evidence.speaks_for.append(
            f"{equal} of {compared} blocks that were compared are on it already"
        )
    for (name, identity), count in named.items():
        if count:
            evidence.speaks_for.append(
                f"{count} of {compared} blocks that were looked at carry the name of its {name} "
                f"({identity.hex()})"
            )
