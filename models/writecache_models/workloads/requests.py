"""Workloads of requests and messages: what a cache does all day."""

from writecache_models.workloads.author import LARGEST_REQUEST, Author


def plain(author: Author) -> str:
    """Single blocks."""
    author.do("open")
    author.mixed(60)
    return author.table()


def requests(author: Author) -> str:
    """Requests of many blocks."""
    author.do("open")
    author.mixed(60, longest=author.random.choice((3, 8, 40)))
    return author.table()


def watermarks(author: Author) -> str:
    """Writes, at all kinds of watermarks."""
    high = author.random.choice((0, 20, 50, 80, 99, 100))
    low = author.random.choice((0, high // 2, high))
    author.do("open")
    for _ in range(70):
        author.write(author.random.choice((1, 1, 5)))
        if author.random.random() < 0.2:
            author.do("flush")
        if author.random.random() < 0.15:
            author.read()
    options = ["high_watermark", str(high), "low_watermark", str(low)]
    if author.random.random() < 0.4:
        options += ["writeback_jobs", str(author.random.choice((0, 1, 2, 5)))]
    return author.table(*options)


def autocommit(author: Author) -> str:
    """Commits by count."""
    author.do("open")
    author.mixed(70, longest=author.random.choice((1, 3)))
    return author.table("autocommit_blocks", str(author.random.choice((0, 1, 2, 3, 7))))


def messages(author: Author) -> str:
    """Messages, good and bad, also while suspended."""
    author.do("open")
    good = ("flush", "FLUSH", "flush_on_suspend", "clear_stats", "cleaner")
    bad = (("flush", "now"), ("nonsense",), ("cleaner", "1"), ("flush_on_suspend", "x"), ("Clear",))
    for _ in range(12):
        author.mixed(author.random.randint(1, 6), longest=3)
        draw = author.random.random()
        if draw < 0.5:
            author.do("message", author.random.choice(good[:4]))
        elif draw < 0.6:
            author.do("message", "cleaner")
        elif draw < 0.8:
            author.do("message", *author.random.choice(bad))
        elif draw < 0.9:
            author.do("suspend")
            author.do("message", author.random.choice(good))
            author.do("resume")
    return author.table()


def suspends(author: Author) -> str:
    """Suspends and resumes, also twice."""
    author.do("open")
    for _ in range(9):
        author.mixed(author.random.randint(1, 6), longest=4)
        if author.random.random() < 0.3:
            author.do("message", "flush_on_suspend")
        author.do("suspend")
        if author.random.random() < 0.2:
            author.do("suspend")
        author.do("resume")
        if author.random.random() < 0.2:
            author.do("resume")
    options = ["cleaner"] if author.random.random() < 0.2 else []
    return author.table(*options)


def sweep(author: Author) -> str:
    """Large requests over the whole origin: what a pass's 64 steps and a full cache do."""
    author.do("open")
    sectors = author.geometry.origin_sectors
    chunk = min(LARGEST_REQUEST, sectors)
    for _ in range(10):
        tag = author.new_tag()
        draw = author.random.random()
        first = author.random.randrange(0, sectors - chunk + 1, author.geometry.block_sectors)
        if draw < 0.5:
            author.do("write", first, chunk, tag)
        elif draw < 0.6:
            author.do("discard", first, chunk)
        elif draw < 0.7:
            author.do("read", first, chunk)
        elif draw < 0.8:
            author.do("message", "flush")
        else:
            author.mixed(4, longest=6)
        author.do("flush")
    return author.table()


def metadata_only(author: Author) -> str:
    """A cache for metadata only, and then for everything."""
    author.do("open")
    author.mixed(20, longest=4)
    author.do("open", author.table())
    author.mixed(20, longest=4)
    return author.table(*(("metadata_only",) if author.has_pause else ("cleaner",)))
