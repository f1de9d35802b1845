"""Workloads of tables: wrong ones, odd ones, and one after another."""

from writecache_models.workloads.author import Author


def reloads(author: Author) -> str:
    """Tables in the place of others."""
    author.do("open")
    for _ in range(7):
        author.mixed(author.random.randint(1, 8), longest=4)
        if author.random.random() < 0.25:
            author.do("suspend")
        draw = author.random.random()
        if draw < 0.3:
            author.do("open")
        elif draw < 0.6:
            high = author.random.choice((10, 50, 90))
            author.do("open", author.table("high_watermark", str(high), "low_watermark", "0"))
        elif draw < 0.75:
            author.do("open", author.table("cleaner"))
        else:
            author.do("open", author.random.choice(malformed(author)))
        author.do("resume")
    return author.table()


def malformed(author: Author) -> list[str]:
    """Tables that are wrong, or look it."""
    size = author.geometry.block_size
    head = f"s ORIGIN CACHE {size}"
    quiet = author.table().split(" ", 4)[4]
    count, options = quiet.split(" ", 1)
    numbers = (
        "-1",
        "0x10",
        "007",
        "4294967296",
        "18446744073709551616",
        "99999999999999999999999",
        "1e3",
        "+5",
        "5k",
        "-0",
        "65536",
        "100",
    )
    number = author.random.choice(numbers)
    last = author.geometry.cache_sectors - 1
    names = (
        "high_watermark",
        "low_watermark",
        "writeback_jobs",
        "autocommit_blocks",
        "max_age",
        "autocommit_time",
        "start_sector",
    )
    name = author.random.choice(names)
    if name == "max_age":
        # What is accepted must not fire.
        number = author.random.choice(("-1", "0x10", "86400000", "86400001", "+5", "5k"))
    return [
        "",
        "s",
        "s ORIGIN",
        "s ORIGIN CACHE",
        "x ORIGIN CACHE 4096 0",
        "p ORIGIN CACHE 4096 0",
        "s NOSUCH CACHE 4096 0",
        "s ORIGIN NOSUCH 4096 0",
        head,
        f"{head} x",
        f"{head} 1",
        f"{head} 17 {options}",
        f"{head} 19 {options}",
        f"{head} -1",
        f"{head} 1 cleaner extra",
        f"{head} {int(count) + 2} start_sector {last} {options}",
        f"s ORIGIN CACHE \\{size} {quiet}",
        f"s ORIGIN CACHE \\ {size} {quiet}",
        f"s ORIGIN\\ CACHE {size} {quiet}",
        f"{head} 1 fua",
        f"{head} 1 nofua",
        f"{head} 1 unknown",
        f"{head} 1 high_watermark",
        f"{head} 2 high_watermark 101",
        f"{head} 4 high_watermark 10 low_watermark 20",
        f"{head} 2 max_age 86400001",
        f"{head} 2 autocommit_time 3600001",
        f"{head} 2 start_sector 99999999",
        f"{head} 3 HIGH_WATERMARK 60 CLEANER",
        f"S ORIGIN CACHE 0{size} {count} {options}",
        f"{head} {count} {options} tail of words",
        f"s ORIGIN CACHE 256 {quiet}",
        f"s ORIGIN CACHE 8192 {quiet}",
        f"s ORIGIN CACHE 1000 {quiet}",
        f"s ORIGIN CACHE {number} {quiet}",
        f"{head} {int(count) + 2} {name} {number} {options}",
        f"{head} {int(count) + 2} {name} {number} {options}",
        f"{head} {int(count) + 4} {name} 3 {name} {number} {options}",
        f"{head} {int(count) + 1} cleaner {options}",
        f"{head} {int(count) + 1} metadata_only {options}",
    ]


def tables(author: Author) -> str:
    """Tables that are refused, or look as if they should be."""
    for _ in range(author.random.choice((0, 6))):
        author.do("open", author.random.choice(malformed(author)))
        author.do("resume")
    author.do("open")
    for _ in range(8):
        author.mixed(3)
        author.do("open", author.random.choice(malformed(author)))
    return author.table()
