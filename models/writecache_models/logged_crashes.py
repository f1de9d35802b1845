"""Crashes of a kernel, from the log of what it wrote: what each may leave, activated and judged.

What a crash may leave at which moment of the log is said in `logged_moments`.

Each content is activated by the reference and read to its end, and the contract is asked.  A
finding that is known is recognised in the content itself.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from hashlib import blake2b
from random import Random
from typing import Final, NamedTuple

from writecache_models.actions import HangError, PanicError
from writecache_models.alike import contract_key
from writecache_models.content import Content
from writecache_models.contract import Contract
from writecache_models.crashing import Setting, name_of, read_everything
from writecache_models.devices import Devices
from writecache_models.digests import named_start_sectors
from writecache_models.logged_moments import Happened, Image, moments, promises
from writecache_models.machine import Machine
from writecache_spec.codec import decode_entries, decode_superblock
from writecache_spec.layout import ENTRY_SIZE, MAGIC, SUPERBLOCK_SIZE, is_committed
from writecache_spec.units import SECTOR_SIZE, Sector, bytes_of, sectors_of

MOST_EXAMPLES: Final = 3
"""Contents of one trace that are wrong in one way, and kept."""
REFUSED: Final = "activation fails"
FAILED: Final = "activation ends with an error"


class Found(NamedTuple):
    """A content that breaks the contract."""

    what: str
    finding: str | None
    """The known one that it shows."""
    step: int
    """The operation during which, or after which, the power failed."""
    image: Image


class Judged(NamedTuple):
    """What became of one trace's crashes."""

    n_flushes: int
    """In its log, and fences.  Without any it proves nothing."""
    n_images: int
    n_distinct: int
    """With what the contract says of them."""
    wrong: Counter[tuple[str, str | None]]
    """How many break the contract, by how, and by the known finding that they show."""
    examples: tuple[Found, ...]
    """The first few of each."""
    samples: tuple[Image, ...]
    """Some of them, for a kernel to activate."""


def judge_crashes(
    setting: Setting,
    happened: Sequence[Happened],
    *,
    limit: int,
    n_samples: int,
    seed: str,
    memory: bool = False,
) -> Judged:
    """Judge up to `limit` contents of each moment; none of a log without flushes, or fences.

    Half of them are those known to matter, where there are more; `n_samples` are drawn of all.
    """
    n_flushes = sum(promises(one) for each in happened for one in each.log)
    if not n_flushes:
        return Judged(0, 0, 0, Counter(), (), ())
    random = Random(seed)
    n_images = 0
    wrong: Counter[tuple[str, str | None]] = Counter()
    examples: list[Found] = []
    seen: set[Hashable] = set()
    samples: list[Image] = []
    for moment in moments(happened, setting.cache_sectors * SECTOR_SIZE if memory else None):
        contract = moment.contract
        contract.crash()
        key = contract_key(contract)
        for image in moment.images(limit, random):
            n_images += 1
            state = (*(blake2b(one).digest() for one in image), key)
            if state in seen:
                continue
            seen.add(state)
            # As many as are wanted, each as likely as any other.
            place = random.randrange(len(seen))
            if len(samples) < n_samples:
                samples.append(image)
            elif place < n_samples:
                samples[place] = image
            for what in activate(setting, image, contract.fork()):
                finding = finding_in(setting, what, image.cache)
                wrong[what, finding] += 1
                if wrong[what, finding] <= MOST_EXAMPLES:
                    examples.append(Found(what, finding, moment.step, image))
    return Judged(n_flushes, n_images, len(seen), wrong, tuple(examples), tuple(samples))


def activate(setting: Setting, image: Image, contract: Contract) -> list[str]:
    """Activate what was left and read it to its end; what is wrong with it."""
    cache = Content(setting.cache_sectors * SECTOR_SIZE, image.cache)
    origin = Content(setting.origin_sectors * SECTOR_SIZE, image.origin)
    machine = Machine(setting.profile, Devices(cache, origin))
    try:
        outcome = machine.open(setting.table)
        if outcome.errno:
            return [f"{REFUSED}: {outcome.errno}"]
        if machine.wc is not None and machine.wc.error:
            return [FAILED]
        at_once = None
        if machine.wc is not None and machine.wc.config.pmem_mode:
            # Longer reads have a finding of their own: remainder-begins-too-early.
            at_once = sectors_of(machine.wc.config.block_size)
        wrong = read_everything(setting, machine, contract, at_once)
        return list(dict.fromkeys(what for what, _ in wrong))
    except (PanicError, HangError) as death:
        return [f"activation ends in {name_of(death)}"]


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
