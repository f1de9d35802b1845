"""Crashes of a kernel, from the log of what it wrote: what each may leave, activated and judged.

The log is one, under both devices, and says of each flush whose it is: so it says what is durable
where at each moment, and in which order.  At each of its entries the power fails: a device keeps
what was flushed or written with FUA, and of the rest any sectors.  A write with FUA may be torn
until it is in the log.  What was complete but not in the log yet counts with the flush that logs
it: until then nothing of it was promised.

Each content is activated by the reference and read to its end, and the contract is asked.  A
finding that is known is recognised in the content itself.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from random import Random
from typing import Final, NamedTuple

from writecache_models.actions import HangError, PanicError
from writecache_models.contract import Contract
from writecache_models.crashing import Setting, begin, content_of, name_of, read_everything
from writecache_models.devices import Devices
from writecache_models.digests import named_start_sectors
from writecache_models.log_lines import FLUSH, FUA
from writecache_models.machine import Machine
from writecache_models.trace import Op
from writecache_models.volatile import Sectors, Volatile, crashes
from writecache_spec.codec import decode_entries, decode_superblock
from writecache_spec.events import Device
from writecache_spec.layout import ENTRY_SIZE, MAGIC, SUPERBLOCK_SIZE, is_committed
from writecache_spec.units import SECTOR_SIZE, Sector, bytes_of

MOST_EXAMPLES: Final = 3
"""Contents of one trace that are wrong in one way, and kept."""
REFUSED: Final = "activation fails"
FAILED: Final = "activation ends with an error"


class Written(NamedTuple):
    """An entry of the log."""

    device: Device
    flags: int
    sector: int = 0
    content: bytes = b""
    """What the sectors hold then: of a discard zeros, of a flush nothing."""


class Happened(NamedTuple):
    """An operation of the kernel, and what was logged meanwhile."""

    op: Op
    failed: bool
    log: tuple[Written, ...]


class Found(NamedTuple):
    """A content that breaks the contract."""

    what: str
    finding: str | None
    """The known one that it shows."""
    step: int
    """The operation during which, or after which, the power failed."""
    image: "Image"


class Image(NamedTuple):
    """What a crash left of both devices, without the zeros behind it."""

    cache: bytes
    origin: bytes


class Judged(NamedTuple):
    """What became of one trace's crashes."""

    n_flushes: int
    """In its log.  Without any it proves nothing."""
    n_images: int
    n_distinct: int
    """With what the contract says of them."""
    wrong: Counter[tuple[str, str | None]]
    """How many break the contract, by how, and by the known finding that they show."""
    examples: tuple[Found, ...]
    """The first few of each."""
    samples: tuple[Image, ...]
    """Some of them, for a kernel to activate."""


class Moment(NamedTuple):
    """Between two entries of the log."""

    step: int
    disks: tuple[Volatile, Volatile]
    contract: Contract


def moments(happened: Iterable[Happened]) -> Iterator[Moment]:
    """Every moment at which the power may fail: after each entry, and after each operation."""
    contract = Contract()
    disks = {Device.CACHE: Volatile({}), Device.ORIGIN: Volatile({})}

    def now(step: int) -> Moment:
        return Moment(step, (disks[Device.CACHE], disks[Device.ORIGIN]), contract.fork())

    for step, (op, failed, log) in enumerate(happened):
        request = begin(contract, op)
        for entry in log:
            disk = disks[entry.device]
            sectors = _sectors(entry.content)
            if entry.flags & FLUSH:
                disks[entry.device] = disk.flush()
            elif entry.flags & FUA:
                disks[entry.device] = disk.write(entry.sector, sectors)
                yield now(step)
                disks[entry.device] = disk.write(entry.sector, sectors, fua=True)
            else:
                disks[entry.device] = disk.write(entry.sector, sectors)
            yield now(step)
        if op[0] == "flush":
            contract.end_flush(request, failed)
        elif op[0].startswith("write") or op[0] == "discard":
            contract.end(request, failed)
            if op[0] == "write_dsync" and not failed:
                contract.end_flush(contract.flush())
        yield now(step)


def judge_crashes(
    setting: Setting, happened: Sequence[Happened], *, limit: int, n_samples: int, seed: str
) -> Judged:
    """Judge up to `limit` contents of each moment; none of a log without flushes.

    Half of them are those known to matter, where there are more; `n_samples` are drawn of all.
    """
    n_flushes = sum(bool(one.flags & FLUSH) for each in happened for one in each.log)
    if not n_flushes:
        return Judged(0, 0, 0, Counter(), (), ())
    random = Random(seed)
    n_images = 0
    wrong: Counter[tuple[str, str | None]] = Counter()
    examples: list[Found] = []
    seen: set[Hashable] = set()
    samples: list[Image] = []
    for step, disks, contract in moments(happened):
        contract.crash()
        key = contract.key()
        for left in crashes(disks, limit, random, favoured=limit // 2):
            n_images += 1
            state = (*(frozenset(disk.durable.items()) for disk in left.disks), key)
            if state in seen:
                continue
            seen.add(state)
            cache, origin = (image_of(disk.durable) for disk in left.disks)
            # As many as are wanted, each as likely as any other.
            place = random.randrange(len(seen))
            if len(samples) < n_samples:
                samples.append(Image(cache, origin))
            elif place < n_samples:
                samples[place] = Image(cache, origin)
            for what in activate(setting, left.disks, contract.fork()):
                finding = finding_in(setting, what, cache)
                wrong[what, finding] += 1
                if wrong[what, finding] <= MOST_EXAMPLES:
                    examples.append(Found(what, finding, step, Image(cache, origin)))
    return Judged(n_flushes, n_images, len(seen), wrong, tuple(examples), tuple(samples))


def activate(setting: Setting, disks: Sequence[Volatile], contract: Contract) -> list[str]:
    """Activate what was left and read it to its end; what is wrong with it."""
    sizes = setting.cache_sectors * SECTOR_SIZE, setting.origin_sectors * SECTOR_SIZE
    cache, origin = (content_of(disk, size) for disk, size in zip(disks, sizes, strict=True))
    machine = Machine(setting.profile, Devices(cache, origin))
    try:
        outcome = machine.open(setting.table)
        if outcome.errno:
            return [f"{REFUSED}: {outcome.errno}"]
        if machine.wc is not None and machine.wc.error:
            return [FAILED]
        return list(dict.fromkeys(what for what, _ in read_everything(setting, machine, contract)))
    except (PanicError, HangError) as death:
        return [f"activation ends in {name_of(death)}"]


def image_of(durable: Sectors) -> bytes:
    """The bytes of a device up to its last sector that was written."""
    end = max(durable, default=-1) + 1
    zeros = bytes(SECTOR_SIZE)
    sectors = (durable.get(sector) for sector in range(end))
    return b"".join(one if isinstance(one, bytes) else zeros for one in sectors)


def finding_in(setting: Setting, what: str, cache: bytes) -> str | None:
    """The known finding that a content shows, which is wrong like this; None: it is a new one."""
    start = bytes_of(max(named_start_sectors(setting.table), default=Sector(0)))
    cache = cache[start:].ljust(SUPERBLOCK_SIZE, b"\0")
    superblock = decode_superblock(cache[:SUPERBLOCK_SIZE])
    if what.startswith(REFUSED) and superblock.magic == 0 and superblock.version != 0:
        return "format-crash"
    if what != FAILED or superblock.magic != MAGIC:
        return None
    entries = cache[SUPERBLOCK_SIZE:][: superblock.n_blocks * ENTRY_SIZE]
    committed = [
        entry
        for entry in decode_entries(entries[: len(entries) // ENTRY_SIZE * ENTRY_SIZE])
        if is_committed(entry.seq_count, superblock.seq_count)
    ]
    return "two-entries-in-one-commit" if len(set(committed)) < len(committed) else None


def _sectors(content: bytes) -> list[Hashable]:
    """Contents sector by sector; None is a sector of zeros."""
    size, zeros = SECTOR_SIZE, bytes(SECTOR_SIZE)
    sectors = (content[at : at + size] for at in range(0, len(content), size))
    return [None if one == zeros else one for one in sectors]
