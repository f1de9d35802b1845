"""A dirty cache and its origin as files, and what they are to be when all is home."""

from pathlib import Path

from caches import FREE, Pair, cache, origin, write
from commands import command

from writecache_spec.codec import decode_entries, decode_superblock

ENTRIES = [(0, 3), (8, 4), (0, 5), FREE, (3, 10), (16, 9), (17, 2), (18, 2), (8, 1)]
SECTORS = 32


def home(image: bytes, slow: bytes) -> bytes:
    """What a device with this cache reads: the entries one by one, as a reader of the C has it."""
    superblock = decode_superblock(image)
    size, n_blocks = superblock.block_size, superblock.n_blocks
    entries = decode_entries(image[64 : 64 + 16 * n_blocks])
    start = -(-(64 + 16 * n_blocks) // size) * size
    result, best = bytearray(slow), {}
    for index, entry in enumerate(entries):
        sector, count = entry
        if count < superblock.seq_count and count >= best.get(sector, 0):
            best[sector] = count
            data = image[start + index * size : start + (index + 1) * size]
            result[sector * 512 : sector * 512 + size] = data
    return bytes(result)


def freed(image: bytes) -> bytes:
    """The cache as it is when every entry is free."""
    n_blocks = decode_superblock(image).n_blocks
    result = bytearray(image)
    for index in range(n_blocks):
        result[64 + 16 * index + 8 : 64 + 16 * index + 16] = b"\xff" * 8
    return bytes(result)


class Devices:
    """Images in a directory, and what they held."""

    def __init__(self, where: Path, entries: list[Pair] = ENTRIES, block_size: int = 512) -> None:
        self.image, self.slow = cache(entries, block_size=block_size), origin(SECTORS)
        self.cache_path = write(where / "ssd", self.image)
        self.origin_path = write(where / "disk", self.slow)
        self.log = where / "disk.undo"
        self.home = home(self.image, self.slow)

    def writeback(self, *arguments: object) -> int:
        return command(
            "writeback", self.cache_path, "--origin", self.origin_path, "-q", *arguments
        ).code

    def now(self) -> tuple[bytes, bytes]:
        return self.cache_path.read_bytes(), self.origin_path.read_bytes()

    @property
    def done(self) -> tuple[bytes, bytes]:
        return freed(self.image), self.home

    @property
    def before(self) -> tuple[bytes, bytes]:
        return self.image, self.slow
