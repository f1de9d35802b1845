"""What a kernel would do with a cache if it were activated: the reference's constructor decides.

The constructor looks at the superblock and at the device's size, never at entries; so it is asked
with a superblock of one block in the place of one of millions where the two come to the same.  What
its resume makes of the entries is the survey, which tests hold to the reference's `resume`.
"""

from typing import NamedTuple

from writecache_impl.tools.numbers import Survey
from writecache_spec.arguments import BlockDevice, Refusal
from writecache_spec.construct import construct
from writecache_spec.layout import Superblock, SuperblockError, check_superblock
from writecache_spec.profile import PROFILES
from writecache_spec.units import SECTOR_SIZE, ByteCount

PROFILE = PROFILES["1.6.0"]
FORMATS = "formats the device"


class Activation(NamedTuple):
    """What becomes of a table line, and of a resume after it."""

    table: str
    """ORIGIN and CACHE stand for the devices."""
    accepted: bool
    outcome: str
    """In words; of a refusal the kernel's own."""
    errno: str | None = None
    error: bool = False
    """Whether the first field of the status line is 1: no write is taken then."""
    erased: int = 0
    """Entries that recovery would mark as free."""
    status: str | None = None
    """The first four fields of the status line."""


def table_of(block_size: int, offset: int) -> str:
    """A table line that names a cache at an offset in bytes."""
    options = f"2 start_sector {offset // SECTOR_SIZE}" if offset else "0"
    return f"s ORIGIN CACHE {block_size} {options}"


def construct_with(
    superblock: Superblock, size: int, offset: int, logical_block_size: int = SECTOR_SIZE
) -> Refusal | None:
    """The constructor's refusal; None where it takes the superblock, or would format the device."""
    block_size = superblock.block_size
    checked = check_superblock(superblock, block_size, size - offset) if block_size else None
    if superblock.n_blocks and checked is not None and not isinstance(checked, SuperblockError):
        superblock = superblock._replace(n_blocks=1)
    devices = {
        "ORIGIN": BlockDevice(ByteCount(size)),
        "CACHE": BlockDevice(ByteCount(size), ByteCount(logical_block_size)),
    }
    made = construct(PROFILE, table_of(block_size, offset), devices, superblock)
    return made.result if isinstance(made.result, Refusal) else None


def activate(
    superblock: Superblock, size: int, offset: int, survey: Survey | None, unreadable: bool = False
) -> Activation:
    """What a kernel would do; `unreadable`: not all of the metadata can be read."""
    table = table_of(superblock.block_size, offset)
    if superblock.magic == 0 and superblock.version == 0:
        table = table_of(4096, offset)
        return Activation(table, True, f"{FORMATS}: whatever it held is gone")
    refusal = construct_with(superblock, size, offset)
    if refusal is not None:
        return Activation(table, False, refusal.message, refusal.errno)
    if survey is None:
        return Activation(table, True, "accepts the superblock")
    n_blocks = superblock.n_blocks
    if unreadable:
        words = "cannot read the metadata: empty cache, error flag set, reads go to the origin"
        return Activation(table, True, words, error=True, status=f"1 {n_blocks} {n_blocks} 0")
    error = bool(survey.identical)
    n_live = len(survey.live_sectors)
    outcome = f"takes {n_live} blocks into the cache"
    if error:
        outcome += ", and sets the error flag (two identical entries): every write fails then"
    return Activation(
        table,
        True,
        outcome,
        error=error,
        erased=len(survey.uncommitted) + len(survey.superseded),
        status=f"{int(error)} {n_blocks} {n_blocks - n_live} 0",
    )
