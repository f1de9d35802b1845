"""Messages: what an administrator can ask of a running cache.

* `flush`: commit, write everything back, and return when that is done;
* `flush_on_suspend`: write everything back at the next suspend;
* `cleaner`: from now on cache nothing new, keep writing back until the cache is empty;
* `clear_stats`: set the counters of the status line to 0.
"""

import errno
from collections.abc import Sequence

from writecache_impl.engine import commit
from writecache_impl.engine.background import Background
from writecache_impl.engine.errors import RequestError
from writecache_impl.engine.state import WRITEBACK, Cache
from writecache_spec.arguments import same_word


def send(wc: Cache, background: Background, words: Sequence[str]) -> None:
    """Carry out a message; with the lock held.  Raises RequestError, with the kernel's errno."""
    names = ("flush", "flush_on_suspend", "cleaner", "clear_stats")
    word = words[0] if len(words) == 1 else ""
    name = next((known for known in names if same_word(word, known)), None)
    match name:
        case None:
            raise RequestError(errno.EINVAL, f"no such message: {' '.join(words)}")
        case "flush":
            _flush(wc, background)
        case "flush_on_suspend":
            wc.flush_on_suspend = True
        case "cleaner":
            wc.activate_cleaner()
            if not wc.suspended:
                wc.verify_watermark()
        case _:
            wc.stats[:] = [0] * len(wc.stats)


def _flush(wc: Cache, background: Background) -> None:
    if wc.suspended:
        raise RequestError(errno.EBUSY, "the device is suspended")
    if wc.error:
        raise RequestError(errno.EIO, "an error was met")
    commit.flush(wc)
    wc.writeback_all += 1
    wc.enqueue(WRITEBACK)
    background.wait_for_queue(drain=False)
    wc.writeback_all -= 1
    if wc.error:
        raise RequestError(errno.EIO, "an error was met")
