"""Events and effects in words, as the trace explorer lists them."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from writecache_models.trace import TOGETHER
from writecache_spec import effects as done
from writecache_spec import events as happens
from writecache_spec.effects import Effect
from writecache_spec.events import Bio, BioPrivate, Event, Job, Op
from writecache_spec.layout import REGION_SECTORS
from writecache_spec.units import U64_MAX

_MOST_EXACT: Final = 2**53
"""Greater numbers lose digits in a browser."""


def exact(number: int) -> int | str:
    """A number that a browser shows as it is: where it is too large, its digits.

    >>> exact(7), exact(2**64 - 1)
    (7, '18446744073709551615')
    """
    return number if number < _MOST_EXACT else str(number)


def span(first: int, count: int) -> str:
    """Neighbouring numbers.

    >>> span(3, 1), span(3, 4)
    ('3', '3\u20136')
    """
    return str(first) if count == 1 else f"{first}\u2013{first + count - 1}"


def sectors(first: int, count: int) -> str:
    """Neighbouring sectors.

    >>> sectors(3, 1), sectors(3, 4)
    ('sector 3', 'sectors 3\u20136')
    """
    return f"sector{'s' if count != 1 else ''} {span(first, count)}"


def blocks(count: int) -> str:
    """So many blocks.

    >>> blocks(1), blocks(2)
    ('1 block', '2 blocks')
    """
    return f"{count} block{'s' if count != 1 else ''}"


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in their order, neighbours as ranges.

    >>> ranges([0, 1, 2, 5, 4])
    '0\u20132, 5, 4'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][0] + runs[-1][1] == number:
            runs[-1][1] += 1
        else:
            runs.append([number, 1])
    return ", ".join(span(first, count) for first, count in runs)


def op_in_words(op: Iterable[Any]) -> str:
    """An operation of a trace, in a line.

    >>> op_in_words(["write", 0, 8, 1]), op_in_words(["together", ["flush"], [["read", 0, 8]]])
    ('write 0 8 1', 'together: flush | read 0 8')
    """
    name, *arguments = op
    if name != TOGETHER:
        return " ".join(map(str, (name, *arguments)))
    clients = [
        "; ".join(op_in_words(one) for one in client)
        if client and isinstance(client[0], list)
        else op_in_words(client)
        for client in arguments
    ]
    return f"{name}: {' | '.join(clients)}"


def turn_in_words(turn: Sequence[Any], number: int) -> str:
    """An event of a path, in words; `number` is that of the operation that may begin with it.

    >>> turn_in_words(("io", 0, True), 2), turn_in_words(("begin", "read", 0, 1), 2)
    ('a disk: request 0 has failed', 'operation 2 begins')
    """
    match turn:
        case ("begin", *_):
            return f"operation {number} begins"
        case ("map", tag):
            return f"operation {tag} goes on to the target"
        case ("io", which, failed):
            return f"a disk: request {which} {'has failed' if failed else 'is done'}"
        case ("copy", which, failed):
            return f"copy {which} has {'failed' if failed else 'ended'}"
        case ("flush thread" | "work" | "endio take" | "endio" as who, io):
            return _WHO[who] + ("" if io is None else f"; its I/O number {io} fails")
        case _:
            return _WHO.get(turn[0], "")


_WHO: Final = {
    "open": "the table is loaded and resumed",
    "flush thread": "the flush thread runs",
    "work": "the work queue goes on",
    "endio take": "the endio thread takes what was copied",
    "endio": "the endio thread frees what was copied",
    "timer": "a timer ends",
    "go on": "the message or the suspend goes on",
}


def request(bio: Bio) -> str:
    """A request, or what is left of it."""
    if bio.op is Op.FLUSH:
        return "flush" if not bio.flush_number else f"flush (copy {bio.flush_number + 1})"
    fua = " with FUA" if bio.fua else ""
    return f"{bio.op.value} of {sectors(bio.sector, bio.n_sectors)}{fua}"


def _job(job: Job) -> str:
    return f"block{'s' if len(job.blocks) != 1 else ''} {ranges(job.blocks)}"


def event_in_words(event: Event) -> str:
    """A critical section of the kernel's lock, by what lets it happen."""
    match event:
        case happens.Map(bio):
            return f"map: {request(bio)}"
        case happens.EndIo(bio, private, failed):
            how = "has failed" if failed else "has been done"
            counted = "" if private is BioPrivate.NONE else f" (counted as {private.value})"
            return f"end_io: {request(bio)} {how}{counted}"
        case happens.CopyEnd(job, failed):
            return f"copy of {_job(job)} has {'failed' if failed else 'ended'}"
        case happens.Message(words):
            return f"message: {' '.join(words)}"
        case happens.Resume(metadata):
            found = "its entries cannot be read" if metadata is None else "entries are read"
            return f"resume: {found}"
        case _:
            return _PLAIN[type(event)]


_PLAIN: dict[type, str] = {
    happens.FlushThread: "flush thread: the next request off its list",
    happens.FlushWork: "work queue: commit",
    happens.WritebackWork: "work queue: a pass of writeback begins",
    happens.WritebackContinue: "work queue: writeback goes on",
    happens.EndioTake: "endio thread: takes what was copied, flushes the origin",
    happens.EndioThread: "endio thread: frees what was copied",
    happens.AutocommitTimer: "autocommit timer",
    happens.MaxAgeTimer: "max_age timer",
    happens.FlushMessageEnd: "message: the work queue has run dry",
    happens.Suspend: "suspend",
    happens.SuspendEnd: "suspend: the work queue is drained",
}


def effect_in_words(effect: Effect) -> str:
    """An effect, in a line."""
    match effect:
        case done.Remap(bio, device, sector, n_sectors):
            if bio.op is Op.FLUSH:
                return f"the flush goes to the {device.value}"
            fua = ", FUA" if bio.fua else ""
            return (
                f"{bio.op.value} of {sectors(bio.sector, n_sectors)} goes to the {device.value}, "
                f"{sectors(sector, n_sectors)}{fua}"
            )
        case done.Complete(bio, errno):
            return f"report the {request(bio)}: {errno or 'done'}"
        case done.Copy(job, _, origin_sector, n_sectors):
            return f"copy {_job(job)} to the origin, {sectors(origin_sector, n_sectors)}"
        case done.WriteOrigin(job, origin_sector, n_sectors, fua):
            how = ", FUA" if fua else ""
            return f"write {_job(job)} to the origin, {sectors(origin_sector, n_sectors)}{how}"
        case done.WriteMetadata(first, n_sectors, metadata, fua):
            what = f"metadata {sectors(first, n_sectors)}"
            if not first:
                superblock = metadata.superblock
                what += f", superblock with seq_count {superblock.seq_count}"
            if n_sectors > REGION_SECTORS:
                what += f" ({-(-n_sectors // REGION_SECTORS)} regions)"
            return f"write {what}{', FUA' if fua else ''}"
        case done.FlushDevice(device):
            return f"flush the {device.value} device"
        case done.StoreSuperblock() | done.StoreEntry() | done.StoreBlock() | done.LoadBlock():
            return _use_of_memory(effect)
        case _:
            return _control(effect)


def _use_of_memory(
    effect: done.StoreSuperblock | done.StoreEntry | done.StoreBlock | done.LoadBlock,
) -> str:
    match effect:
        case done.StoreSuperblock(_, fields):
            return f"store of the superblock: {', '.join(fields)}"
        case done.StoreEntry(block, seq_count, original_sector):
            count = "free" if seq_count == U64_MAX else f"seq_count {seq_count}"
            place = "" if original_sector in (None, U64_MAX) else f"sector {original_sector}, "
            return f"store of entry {block}: {place}{count}"
        case done.StoreBlock(bio, block):
            return f"store of {sectors(bio.sector, bio.n_sectors)} in block {block}"
        case done.LoadBlock(bio, block):
            return f"load {sectors(bio.sector, bio.n_sectors)} from block {block}"


def _control(effect: Any) -> str:
    match effect:
        case done.Fence():
            return "fence: stores so far are durable"
        case done.Sleep(waiter, rest):
            who = f"the {request(rest)}" if rest else getattr(waiter, "value", "it")
            return f"{who} sleeps until a block is freed"
        case done.QueueWork(work):
            return f"put on the work queue: {work.value}"
        case done.StartTimer(timer, delay):
            return f"start the {timer.value} timer: {delay} jiffies"
        case done.StopTimer(timer):
            return f"stop the {timer.value} timer"
        case done.AwaitWorkQueue(drain):
            return f"wait until the work queue {'is empty' if drain else 'has run what is on it'}"
        case done.Returned(errno):
            return f"returns: {errno or 'success'}"
        case done.Log(text):
            return f"log: {text}"
        case done.Broken(reason):
            return f"the kernel dies: {reason.value}"
        case _:
            return f"not now: {effect.why}"
