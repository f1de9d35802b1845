"""Playing operations on an engine while the contract is told, and asked about what is seen."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

from writecache_impl.engine import Engine, EngineError
from writecache_models.contract import ZERO, Contract, FlushMessage, Request, Value
from writecache_models.devices import pattern
from writecache_models.trace import Op
from writecache_spec.units import SECTOR_SIZE

_ZEROS = bytes(SECTOR_SIZE)


def sectors_of(data: bytes) -> list[Value]:
    """Contents as the contract names them."""
    pieces = [data[at : at + SECTOR_SIZE] for at in range(0, len(data), SECTOR_SIZE)]
    return [ZERO if piece == _ZEROS else piece for piece in pieces]


class Teller:
    """One client of an engine, which tells a contract what it does.

    `lock` is held while the contract is told; `alone` says that nobody else is about, so that what
    is read can be judged; `may_fail` that devices fail, so that operations may.
    """

    def __init__(
        self,
        engine: Engine,
        contract: Contract,
        lock: AbstractContextManager[object],
        origin: Callable[[int], bytes] | None = None,
    ) -> None:
        self.engine, self.contract, self.lock = engine, contract, lock
        self.origin = origin
        """What a sector of the origin holds, for who wants to know after a `flush` message."""
        self.alone = True
        self.may_fail = False
        self.failed = False
        """Whether anything has failed with EIO so far."""
        self.wrong: list[tuple[str, int | None]] = []
        """What broke the contract, and the sector."""

    def play(self, op: Op, table: str) -> None:
        """Do one operation; a write with RWF_DSYNC is a write and a flush."""
        if op[0] == "write_dsync":
            self.play(["write", *op[1:]], table)
            op = ["flush"]
        if op[0] != "open" and not self._runs():
            return
        with self.lock:
            message = self.contract.flush_message()
            request = self._begin(op)
        try:
            data, is_good = self._perform(op, table), True
        except EngineError as error:
            data, is_good = None, False
            self.failed = True
            if not self.may_fail:
                self.wrong.append((f"{op[0]} fails though no device does: {error}", None))
        with self.lock:
            self._end(op, request, message, data, is_good)

    def _runs(self) -> bool:
        """Whether requests can come; a resume that failed is tried again."""
        wc = self.engine._wc
        if wc is not None and wc.suspended and self.may_fail:
            try:
                self.engine.resume()
            except EngineError:
                return False
        return True

    def _begin(self, op: Op) -> Request:
        name, *arguments = op
        if name.startswith("write"):
            sector, n_sectors, tag = arguments
            values = sectors_of(pattern(sector, n_sectors, tag))
            return self.contract.write(sector, values, fua=name == "write_fua")
        if name == "discard":
            return self.contract.discard(*arguments)
        return self.contract.flush()

    def _perform(self, op: Op, table: str) -> bytes | None:
        name, *arguments = op
        engine = self.engine
        places = [SECTOR_SIZE * number for number in arguments[:2] if isinstance(number, int)]
        match name:
            case "open":
                before = engine._wc
                try:
                    engine.reload(table)
                finally:
                    # An error may have been met by nobody's request: by a commit of its own.
                    self.failed |= before is not None and before.error
            case "suspend":
                engine.suspend()
                engine.resume()
            case "message":
                engine.message(*arguments)
            case "flush":
                engine.flush()
            case "discard":
                engine.discard(*places)
            case "read":
                return engine.read(*places)
            case _:
                engine.write(places[0], pattern(*arguments), fua=name == "write_fua")
        return None

    def _end(
        self, op: Op, request: Request, message: FlushMessage, data: bytes | None, is_good: bool
    ) -> None:
        contract = self.contract
        match op[0]:
            case "read" if data is not None and self.alone:
                for sector, value in contract.read(op[1], sectors_of(data)):
                    self.wrong.append((described(value), sector))
            case "flush":
                contract.end_flush(request, not is_good)
            case "open" if is_good:
                if self.failed:
                    contract.let_go()
                    self.failed = False
            case "message" if op[1:] == ["flush"] and is_good and self.origin:
                self._check_origin(message)
            case "discard":
                contract.end(request, not is_good)
            case "write" | "write_fua":
                contract.end(request, not is_good)

    def _check_origin(self, message: FlushMessage) -> None:
        assert self.origin is not None
        for sector in range(self.engine.size // SECTOR_SIZE):
            value = sectors_of(self.origin(sector))[0]
            if value not in self.contract.in_origin(sector, message):
                what = "the flush message left the origin out of date"
                self.wrong.append((what, sector))


def described(value: Value) -> str:
    """What is wrong with a value that was read."""
    return "zeros are read" if value == ZERO else "what is read is not the last that was written"


def deal(ops: Sequence[Op], n_hands: int) -> Iterator[Sequence[Op]]:
    """Operations for several clients, one after the other."""
    return (ops[number::n_hands] for number in range(n_hands))
