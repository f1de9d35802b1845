"""Workloads on crafted images."""

from writecache_models.workloads.author import Author


def crafted(author: Author) -> str:
    """All that a client does, on metadata that may be damaged."""
    author.do("open")
    for _ in range(3):
        author.read(8)
    author.mixed(20, longest=4)
    author.do("message", "flush")
    author.read(8)
    author.do("suspend")
    author.do("resume")
    author.mixed(10, longest=4)
    return author.table(*author.random.choice(((), ("cleaner",), ("high_watermark", "100"))))
