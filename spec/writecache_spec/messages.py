"""Messages: what an administrator can ask of a running cache.

* `flush`: commit, write everything back, and return when that is done;
* `flush_on_suspend`: write everything back at the next suspend;
* `cleaner`: from now on cache nothing new, keep writing back until the cache is empty;
* `clear_stats` (since 1.6.0): set the counters of the status line to 0.

Each takes no further word.  Describes `writecache_message`, `process_flush_mesg`,
`process_flush_on_suspend_mesg`, `process_cleaner_mesg`, `process_clear_stats_mesg` and
`activate_cleaner`.
"""

from writecache_spec.arguments import same_word
from writecache_spec.commit import flush
from writecache_spec.effects import AwaitWorkQueue, Log, QueueWork, Returned, Work
from writecache_spec.entries import verify_watermark
from writecache_spec.events import Message
from writecache_spec.state import State, Stats
from writecache_spec.transcript import Transcript, require


def message(wc: State, event: Message, transcript: Transcript) -> State:
    """Carry out a message, or refuse it with its errno."""
    require(event.words, "a message has at least one word")
    name = event.words[0]
    names = ["flush", "flush_on_suspend", "cleaner"]
    if wc.config.profile.has_statistics:
        names.append("clear_stats")
    known = next((candidate for candidate in names if same_word(name, candidate)), None)
    if known is None:
        transcript.tell(Log(f"unrecognised message received: {name}"))
    if known is None or len(event.words) != 1:
        transcript.tell(Returned("EINVAL"))
        return wc
    match known:
        case "flush":
            return _flush_message(wc, transcript)
        case "flush_on_suspend":
            wc = wc._replace(flush_on_suspend=True)
        case "cleaner":
            wc = activate_cleaner(wc)
            if not wc.suspended:
                verify_watermark(wc, transcript)
        case _:
            wc = wc._replace(stats=Stats())
    transcript.tell(Returned(None))
    return wc


def _flush_message(wc: State, transcript: Transcript) -> State:
    if wc.suspended or wc.error:
        transcript.tell(Returned("EBUSY" if wc.suspended else "EIO"))
        return wc
    wc = flush(wc, transcript)
    transcript.tell(QueueWork(Work.WRITEBACK))
    transcript.tell(AwaitWorkQueue(drain=False))
    return wc._replace(writeback_all=wc.writeback_all + 1)


def flush_message_end(wc: State, transcript: Transcript) -> State:
    """The writeback that a `flush` message asked for has been done, or has met an error."""
    require(wc.writeback_all, "no flush message is under way")
    transcript.tell(Returned("EIO" if wc.error else None))
    return wc._replace(writeback_all=wc.writeback_all - 1)


def activate_cleaner(wc: State) -> State:
    """Set both watermarks so that any block in use is one too many."""
    return wc._replace(
        flush_on_suspend=True,
        cleaner=True,
        freelist_high_watermark=wc.config.n_blocks,
        freelist_low_watermark=wc.config.n_blocks,
    )
