"""Workloads on devices that fail: some sectors, for a while or for good."""

from writecache_models.faults import OF_DISKS, FaultKind
from writecache_models.workloads.author import Author

_OPERATIONS = ("write", "read", "flush", "message", "suspend", "open", "discard")


def failing(author: Author) -> str:
    """Requests, writeback and commits that meet a fault; now and then it goes, and a reload helps.

    An error is sticky until then: most operations come before the first, or after a reload.
    """
    author.do("open")
    for _ in range(author.random.randint(3, 6)):
        author.mixed(author.random.randint(0, 12), longest=author.random.choice((1, 3, 8)))
        device, kind = author.random.choice(("cache", "origin")), author.random.choice(OF_DISKS)
        author.do("fail", device, kind.value, *_place(author, device))
        # device-mapper's target `error` takes no discards before Linux 6.3; nor does, until the
        # next reload, a cache that was constructed over it.
        discards = (device, kind) != ("origin", FaultKind.ERROR)
        for _ in range(author.random.randint(1, 6)):
            _meet(author, discards)
        if author.random.random() < 0.7:
            author.do("heal", device)
        elif not discards:
            author.do("fail", device, FaultKind.FLAKEY.value, *_place(author, device))
        for _ in range(author.random.randint(0, 2)):
            _meet(author, discards)
        author.do("open")
    for device in ("cache", "origin"):
        author.do("heal", device)
    author.do("open")
    author.read(8)
    return author.table(*_options(author))


def _options(author: Author) -> list[str]:
    """More or less of writeback and of commits."""
    random = author.random
    options: list[str] = []
    if random.random() < 0.4:
        high = random.choice((0, 20, 50, 100))
        options += ["high_watermark", str(high), "low_watermark", str(random.choice((0, high)))]
    if random.random() < 0.3:
        options += ["autocommit_blocks", str(random.choice((1, 2, 5)))]
    if random.random() < 0.2:
        options += ["writeback_jobs", str(random.choice((1, 2)))]
    return options


def _place(author: Author, device: str) -> tuple[int, int]:
    """First sector and number of those that fail: anywhere, or where it hurts."""
    random, geometry = author.random, author.geometry
    sectors = geometry.cache_sectors if device == "cache" else geometry.origin_sectors
    block = geometry.block_sectors
    draw = random.random()
    if draw < 0.15:  # everything
        return 0, sectors
    if draw < 0.35 and device == "cache":  # the superblock, or the entries behind it
        return geometry.start_sector + random.choice((0, 0, 1)), random.choice((1, block))
    if draw < 0.5:  # the end, of which a cache rarely uses all: then only flushes fail
        return sectors - 1, 1
    count = random.choice((1, block, block, 3 * block, sectors // 4))
    first = random.randrange(sectors)
    return first, min(count, sectors - first)


def _meet(author: Author, discards: bool) -> None:
    """Append an operation that may meet a fault."""
    match author.random.choices(_OPERATIONS, (40, 15, 20, 8, 8, 6, 6), k=1)[0]:
        case "write":
            author.write(author.random.choice((1, 1, 4, 10)))
        case "read":
            author.read(8)
        case "message":
            author.do("message", author.random.choice(("flush", "flush_on_suspend", "cleaner")))
        case "suspend":
            author.do("suspend")
            author.do("resume")
        case "discard":
            if discards:
                author.discard()
        case name:
            author.do(name)
