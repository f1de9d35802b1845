"""Workloads in which time passes."""

from writecache_models.workloads.author import QUIET, Author


def sleeps(author: Author) -> str:
    """Timers, with wide margins around every moment at which one fires."""
    author.do("open")
    for _ in range(4):
        author.write(3)
        if author.random.random() < 0.4:
            author.do("flush")
        author.do("sleep", author.random.choice((150, 1200)))
        author.read()
    options = author.random.choice(
        (
            ("autocommit_time", "600"),
            ("max_age", "600"),
            ("max_age", "600", "autocommit_time", "50"),
        )
    )
    quiet = ["pause_writeback", "0"] if author.has_pause else []
    if "autocommit_time" not in options:
        quiet += QUIET
    return author.table(*options, *quiet, quiet=False)


def pauses(author: Author) -> str:
    """Writes past a full cache, which make writeback pause."""
    author.do("open")
    for _ in range(3):
        for _ in range(author.random.randint(4, 12)):
            author.write(4)
        author.do("flush")
        author.do("sleep", author.random.choice((200, 2000)))
        author.read()
        if author.random.random() < 0.4:
            author.do("message", author.random.choice(("flush", "cleaner")))
    return author.table(*QUIET, "pause_writeback", "900", "high_watermark", "60", quiet=False)
