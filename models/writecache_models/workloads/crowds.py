"""Workloads of several clients at once, on the same blocks and on different ones."""

from writecache_models.workloads.author import Author


def crowds(author: Author) -> str:
    """Two or three requests at once, between others: with more the search gets long."""
    longest = author.random.choice((1, 2, 3, 8))
    options = [*author.random.choice(((), (), ("autocommit_blocks", "2"), ("writeback_jobs", "1")))]
    if author.random.random() < 0.5:
        high = author.random.choice((0, 50, 100))
        low = author.random.choice((0, high))
        options += ["high_watermark", str(high), "low_watermark", str(low)]
    author.do("open")
    for _ in range(24):
        author.mixed(author.random.choice((0, 0, 1, 2)), longest)
        author.together(author.random.choice((2, 2, 3)), longest)
        if author.random.random() < 0.1:
            author.do("message", "flush")
    return author.table(*options)
