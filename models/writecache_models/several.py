"""Several clients at once: their requests are mapped, sleep, and end in between each other.

What one client does next, what a device does next on behalf of a request, and every critical
section of the background are choices.  **The canonical order**: whoever goes on, in the order in
which the clients were named, each as far as it comes; then the devices, reads first, lower sectors
first (as the block layer's scheduler has it); then the background (`kernel`).  A schedule may also
have another *habit*: what it does of several things that may happen.
"""

from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from writecache_models.actions import ENDS_COPIES, Action, HangError, Kind, Outcome
from writecache_models.devices import Devices
from writecache_models.lives import Client, Lives
from writecache_spec.events import Device, Op
from writecache_spec.profile import Profile


class _Order(Enum):
    """Which client goes first."""

    AS_NAMED = "0, 1, 2"
    REVERSED = "2, 1, 0"
    FIRST_IS_LATE = "1, 2, 0"
    LAST_IS_EARLY = "2, 0, 1"

    def sort(self, clients: Sequence[Action], n_clients: int) -> list[Action]:
        """The clients that can go on, who goes first first."""

        def place(action: Action) -> int:
            number = action.which
            match self:
                case _Order.REVERSED:
                    return -number
                case _Order.FIRST_IS_LATE:
                    return number or n_clients
                case _Order.LAST_IS_EARLY:
                    return -1 if number == n_clients - 1 else number
                case _:
                    return number

        return sorted(clients, key=place)


_WRITEBACK: Final = (Kind.WORK, Kind.COPY, Kind.ENDIO)
HABITS: Final = tuple(
    (kinds, order)
    for kinds in (
        (Kind.CLIENT, Kind.IO, Kind.FLUSH_THREAD, *_WRITEBACK),
        (Kind.CLIENT, Kind.IO, *_WRITEBACK, Kind.FLUSH_THREAD),
        (Kind.FLUSH_THREAD, Kind.CLIENT, Kind.IO, *_WRITEBACK),
        (Kind.IO, Kind.CLIENT, Kind.FLUSH_THREAD, *_WRITEBACK),
        (Kind.IO, Kind.FLUSH_THREAD, *_WRITEBACK, Kind.CLIENT),
    )
    for order in _Order
)
"""What happens first of all that can, and which client goes first; the canonical habit first."""


class Several(Lives):
    """A kernel that does several requests at a time."""

    def __init__(self, profile: Profile, devices: Devices) -> None:
        super().__init__(profile, devices)
        self._habit = 0
        """Of `HABITS`."""
        self.cache_reads_slowly = False
        """Whether a read of the cache device takes longer than anything else."""

    def fingerprint(self) -> int:
        """See `Core.fingerprint`; clients under way tell machines apart, too."""
        alone = super().fingerprint()
        if not self._clients:
            return alone
        lives = tuple((client.n_turns, client.wait is None) for client in self._clients)
        return hash((alone, lives, tuple(self._ios), self._habit))

    def together(self, clients: Sequence[Any]) -> tuple[Outcome, ...]:
        """Let clients begin at once, each with requests as vectors have them; then settle."""
        self._clients = tuple(Client(self._does(client)) for client in clients)
        habits = [Action(Kind.HABIT, number) for number in range(len(HABITS))]
        self._habit = self.choose(habits).which
        while any(client.wait is not None for client in self._clients):
            options = self._what_may_happen(*HABITS[self._habit])
            # What is not enabled does not happen: then the next does.
            chosen = self.choose(options) if len(options) > 1 else options[0] if options else None
            others = [option for option in options if option != chosen]
            if chosen is None or not any(map(self._let, (chosen, *others))):
                raise HangError
        outcomes = tuple(client.outcome for client in self._clients)
        assert not self._ios
        self._clients = ()
        self._submitted.clear()
        self._buffers.clear()
        self._errors.clear()
        self.settle()
        return outcomes

    def _what_may_happen(self, kinds: Sequence[Kind], order: _Order) -> list[Action]:
        """What the habit is, first."""
        found = [
            Action(Kind.CLIENT, number)
            for number, client in enumerate(self._clients)
            if client.wait is not None and client.wait()
        ]
        found = order.sort(found, len(self._clients))
        found += [Action(Kind.IO, which) for which in self._in_order()]
        background = self.actions()
        held = ENDS_COPIES if self.copies_held and found else ()
        found += [action for action in background if action.kind not in held]
        ranks = {kind: rank for rank, kind in enumerate(kinds)}
        found.sort(key=lambda action: (self._is_slow(action), ranks.get(action.kind, len(ranks))))
        drains = (
            any(one.kind is Kind.CLIENT for one in found) and found[-1].kind is not found[0].kind
        )
        return [*found, *([Action(Kind.SETTLE)] if drains else [])]

    def _is_slow(self, action: Action) -> bool:
        """Whether all else has had the time to happen before."""
        return (
            self.cache_reads_slowly
            and action.kind is Kind.IO
            and self._ios[action.which].remap.device is Device.CACHE
            and self._ios[action.which].remap.bio.op is Op.READ
        )

    def _in_order(self) -> list[int]:
        """Which I/O is done next, as far as the block layer's scheduler has its way."""

        def place(which: int) -> tuple[bool, int]:
            remap = self._ios[which].remap
            return remap.bio.op is not Op.READ, remap.sector

        return sorted(range(len(self._ios)), key=place)

    def _let(self, action: Action) -> bool:
        """Let something happen; False where it cannot happen now."""
        match action.kind:
            case Kind.CLIENT:
                self._clients[action.which].go_on()
            case Kind.IO:
                self._do(self._ios.pop(action.which))
            case Kind.SETTLE:
                self._drain()
            case _:
                return self._let_background(action)
        self._submit()
        return True

    def _drain(self) -> None:
        """Let everything run that is pending but the clients; none of it is a choice."""
        held = self.choices, self.alternatives
        self.choices, self.alternatives = (), []
        try:
            while any(
                self._let(action)
                for action in self._what_may_happen(*HABITS[0])
                if action.kind not in (Kind.CLIENT, Kind.SETTLE)
            ):
                pass
        finally:
            self.choices, self.alternatives = held

    def _let_background(self, action: Action) -> bool:
        before = self.wc
        try:
            happens = self.act(action)
        except HangError:
            # Not enabled while I/O is in flight; the endio thread may have come half way.
            happens = self.wc != before
        self._submit()
        return happens
