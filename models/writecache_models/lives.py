"""Lives of clients that do requests at once: each waits for its own, and others go on meanwhile.

A client is a generator: it maps its request piece by piece, sleeps where there is no free block,
waits for what the devices do for it, and yields at each point at which somebody else may come
first.  What comes next is for others to say (`several`).
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple

from writecache_models.actions import HangError, Outcome
from writecache_models.devices import Devices, FaultError
from writecache_models.requests import BIO_SECTORS, Requests
from writecache_models.trace import script_of
from writecache_spec.effects import Remap
from writecache_spec.events import Bio, Map, Op
from writecache_spec.profile import Profile
from writecache_spec.remainder import remainder
from writecache_spec.state import flush_numbers
from writecache_spec.units import Sector, bytes_of, sectors_of

Wait = Callable[[], bool]
"""Whether a client that waits can go on."""
Life = Generator[Wait, None, Outcome]
"""What a client does, up to each wait, and how it ends."""


class Io(NamedTuple):
    """What a device has been asked for by a piece of a request, and has not done."""

    remap: Remap
    content: bytes
    """What it is to write."""


class Client:
    """A thread that does one request, and waits for its end."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.wait: Wait | None = lambda: True
        """None when its request has returned."""
        self.n_turns = 0
        self.outcome = Outcome()

    def go_on(self) -> None:
        """Run until it waits, or ends."""
        self.n_turns += 1
        try:
            self.wait = next(self.life)
        except StopIteration as end:
            self.wait = None
            self.outcome = end.value


class Lives(Requests):
    """A kernel whose clients do not wait for each other."""

    def __init__(self, profile: Profile, devices: Devices) -> None:
        super().__init__(profile, devices)
        self._clients: tuple[Client, ...] = ()
        self._ios: list[Io] = []
        """In the order in which they were submitted."""
        self._n_ended = 0
        self._submitted: dict[int, list[Remap]] = {}
        """By the tags of requests: pieces that their clients have not looked at."""
        self._buffers: dict[int, tuple[bytearray, int]] = {}
        """By the tags of reads: where what they read goes, and its first sector."""
        self._errors: set[int] = set()
        """Tags of requests that a device has failed."""

    def _submit(self) -> None:
        """Give the devices what was asked of them, by whomever."""
        while self._clients and self._remapped:
            remap = self._remapped.pop(0)
            is_write = remap.bio.op is Op.WRITE
            content = self._data(remap.bio._replace(n_sectors=remap.n_sectors)) if is_write else b""
            self._ios.append(Io(remap, content))
            self._submitted.setdefault(remap.bio.tag, []).append(remap)

    def _do(self, io: Io) -> None:
        """A device does what was asked of it, and says so."""
        remap = io.remap
        failed = False
        try:
            match remap.bio.op:
                case Op.READ:
                    content = self.devices.read(remap.device, remap.sector, remap.n_sectors)
                    self._fill(remap.bio, content)
                case Op.WRITE:
                    self.devices.write(remap.device, remap.sector, io.content, remap.bio.fua)
                case Op.DISCARD:
                    self.devices.discard(remap.device, remap.sector, remap.n_sectors)
                case Op.FLUSH:
                    failed = self.devices.fails_flush(remap.device)
                    if not failed:
                        self.devices.flush(remap.device)
        except FaultError:
            failed = True
        if failed:
            self._errors.add(remap.bio.tag)
        self._n_ended += 1
        self._end(remap, failed)

    def _fill(self, bio: Bio, content: bytes) -> None:
        buffer, first = self._buffers[bio.tag]
        place = bytes_of(Sector(bio.sector - first))
        buffer[place : place + len(content)] = content

    def _does(self, client: Any) -> Life:
        """One request, or several, one after the other."""
        script = script_of(client)
        if script[0] is client:
            return (yield from self._life(client[0], client[1:]))
        outcomes = []
        for name, *arguments in script:
            outcomes.append((yield from self._life(name, arguments)))
        return Outcome(parts=tuple(outcomes))

    def _life(self, name: str, arguments: Sequence[Any]) -> Life:
        if name == "flush":
            return (yield from self._flushes())
        sector, n_sectors = arguments[:2]
        refusal = self._refuse(name, sector, n_sectors)
        if refusal.errno:
            return refusal
        if name == "read":
            return (yield from self._reads(sector, n_sectors))
        if name == "discard":
            bio = Bio(Op.DISCARD, Sector(sector), Sector(n_sectors), tag=self._new_tag())
            return (yield from self._sends([bio]))
        written = yield from self._writes(sector, n_sectors, arguments[2], name == "write_fua")
        if name == "write_dsync" and not written.errno:
            return (yield from self._flushes())
        return written

    def _refuse(self, name: str, sector: int, n_sectors: int) -> Outcome:
        refusal = self._refuse_misaligned(sector, n_sectors)
        end = sectors_of(len(self.devices.origin))
        if name == "discard" and sector + n_sectors > end:
            refusal = Outcome("EINVAL")
        elif name.startswith("write") and sector >= end:
            refusal = Outcome("ENOSPC")
        return refusal

    def _writes(self, sector: int, n_sectors: int, pattern_tag: int, fua: bool) -> Life:
        """All requests of a write are submitted before the client waits for the first."""
        tags = []
        for first, count in _requests(sector, n_sectors):
            rest: Bio | None = Bio(Op.WRITE, first, count, fua, tag=self._new_tag())
            assert rest is not None
            tags.append(rest.tag)
            while rest is not None:
                rest = yield from self._maps(rest, pattern_tag)
        yield self._have_ended(tags)
        return self._result(tags)

    def _reads(self, sector: int, n_sectors: int) -> Life:
        buffer = bytearray(bytes_of(Sector(n_sectors)))
        tags = []
        for first, count in _requests(sector, n_sectors):
            rest: Bio | None = Bio(Op.READ, first, count, tag=self._new_tag())
            assert rest is not None
            tags.append(rest.tag)
            while rest is not None:
                bio = rest
                self._buffers[bio.tag] = buffer, sector
                yield from self._enters(bio, 0)
                self._fill(bio, b"".join(self._loaded))
                self._loaded.clear()
                self._submit()
                rest = self._rest_of(bio, self._submitted.pop(bio.tag, []))
                if rest is not None:
                    yield lambda: True
        yield self._have_ended(tags)
        outcome = self._result(tags)
        return outcome if outcome.errno else Outcome(data=bytes(buffer))

    def _flushes(self) -> Life:
        """A flush, sent as often as the target asks."""
        numbers = flush_numbers(self._live().config)
        return self._sends(
            [Bio(Op.FLUSH, flush_number=number, tag=self._new_tag()) for number in numbers]
        )

    def _sends(self, bios: Sequence[Bio]) -> Life:
        """Requests that are never split."""
        for bio in bios:
            rest: Bio | None = bio
            while rest is not None:
                rest = yield from self._maps(rest, 0)
        tags = [bio.tag for bio in bios]
        yield self._have_ended(tags)
        return self._result(tags)

    def _maps(self, bio: Bio, pattern_tag: int) -> Generator[Wait, None, Bio | None]:
        """Map a piece, sleeping where there is no free block; what is left of the request."""
        yield from self._enters(bio, pattern_tag)
        while bio.tag in self._live().sleeping:
            assert self._rest is not None
            bio = self._rest
            yield self._is_awake(bio.tag)
            yield from self._enters(bio, pattern_tag)
        self._submit()
        pieces = self._submitted.pop(bio.tag, [])
        rest = self._rest_of(bio, pieces) if bio.op is Op.WRITE else None
        if rest is not None:
            yield lambda: True
        return rest

    def _enters(self, bio: Bio, pattern_tag: int) -> Generator[Wait, None, None]:
        """Map a piece once nothing is in flight that this waits for with the lock held."""
        while True:
            self._pattern_tag = pattern_tag
            try:
                self._step(Map(bio, self.now))
            except HangError:
                if not self._ios:
                    raise
                yield self._more_has_ended()
            else:
                return

    def _more_has_ended(self) -> Wait:
        before = self._n_ended
        return lambda: self._n_ended > before

    def _is_awake(self, tag: int) -> Wait:
        return lambda: tag not in self._live().sleeping

    def _rest_of(self, bio: Bio, pieces: Sequence[Remap]) -> Bio | None:
        """What device-mapper maps next of a request; nothing of one that was reported."""
        if bio.tag in self._completed or not pieces:
            return None
        (remap,) = pieces
        return remainder(self.profile, bio, remap.bio, remap.n_sectors)

    def _have_ended(self, tags: Sequence[int]) -> Wait:
        def ended() -> bool:
            wc = self._live()
            waiting = {bio.tag for bio in wc.flush_list} | {io.remap.bio.tag for io in self._ios}
            return not waiting.intersection(tags)

        return ended

    def _result(self, tags: Sequence[int]) -> Outcome:
        """How requests have ended: the first error counts."""
        errnos = [self._completed.pop(tag, None) for tag in tags]
        failed = "EIO" if self._errors.intersection(tags) else None
        return Outcome(next(filter(None, [*errnos, failed]), None))


def _requests(sector: int, n_sectors: int) -> Iterator[tuple[Sector, Sector]]:
    """Of a direct read or write: first sectors and lengths of what reaches the target."""
    for first in range(sector, sector + n_sectors, BIO_SECTORS):
        yield Sector(first), Sector(min(BIO_SECTORS, sector + n_sectors - first))
