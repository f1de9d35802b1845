"""Mutated requests against a server, each of which must have exactly the reply it is due.

The fuzzer knows by a reading of its own what every request, mutated or not, has to lead to: an
errno, a change of the data, or the end of the connection.  It compares every reply and every read
with that, and all data in the end.  As a program:

    python tests/impl/nbd_fuzz.py --requests 1000000
"""

import argparse
import struct
from random import Random
from typing import Final, NamedTuple

import nbd_client as nbd
from nbd_client import BLOCK, LONGEST, N_BLOCKS, SIZE, Client, GoneError, served

NUMBERS: Final = (
    *(0, 1, 2, 255, 256, 511, 512, 513, BLOCK - 1, BLOCK, BLOCK + 1, SIZE - BLOCK, SIZE - 1, SIZE),
    *(SIZE + 1, SIZE + BLOCK, LONGEST - BLOCK, LONGEST, LONGEST + 1, LONGEST + BLOCK),
    *(2**31 - 1, 2**31, 2**32 - BLOCK, 2**32 - 1, 2**63, 2**64 - BLOCK, 2**64 - 512, 2**64 - 1),
)
ENDS = -1
"""What a request leads to: the connection's end."""


class Asked(NamedTuple):
    """A request as it is sent."""

    magic: int
    flags: int
    command: int
    cookie: int
    offset: int
    length: int

    def encode(self) -> bytes:
        return struct.pack(">IHHQQI", *self)


WIDTHS: Final = (32, 16, 16, 64, 64, 32)


class Fuzzer:
    """One client that goes on with a new connection where one has ended."""

    def __init__(self, address: str, seed: int) -> None:
        self.address = address
        self.random = Random(seed)
        self.client: Client | None = None
        self.held: list[set[bytes]] = [{bytes(BLOCK)} for _ in range(N_BLOCKS)]
        """What each block may hold."""
        self.ever: list[set[bytes]] = [{bytes(BLOCK)} for _ in range(N_BLOCKS)]
        self.n_requests = self.n_refused = self.n_ended = self.n_handshakes = 0

    def run(self, n_requests: int) -> None:
        """Send so many requests, one handshake in fifty of them mutated, and look at all data."""
        while self.n_requests < n_requests:
            if self.random.random() < 0.02:
                self.handshake()
            self.request()
        if self.client is not None:
            self.client.close()
        with Client(self.address) as client:
            data = client.read(0, SIZE)
        for place, allowed in enumerate(self.held):
            found = data[place * BLOCK : (place + 1) * BLOCK]
            assert found in allowed, f"block {place} holds what nobody wrote"

    def request(self) -> None:
        client = self.client
        if client is None:
            client = self.client = Client(self.address, structured=self.random.random() < 0.5)
        asked = self.draw()
        payload = self.payload(asked)
        cut = self.random.random() < 0.01
        self.n_requests += 1
        expected = self.due(asked, client.structured)
        sent = asked.encode() + payload
        if cut:
            # The client dies in the middle of it: nothing of it may happen.
            sent, expected = sent[: self.random.randrange(len(sent))], ENDS
        try:
            client.send(sent)
            if cut:
                client.socket.shutdown(1)
            if expected == ENDS:
                self.ended(client, asked)
                return
            length = asked.length if asked.command == nbd.READ else 0
            cookie, error, data = client.reply(length)
        except GoneError:
            assert expected == ENDS, f"the connection has ended at {asked}"
            self.n_ended += 1
            client.close()
            self.client = None
            return
        assert (cookie, error) == (asked.cookie, expected), f"{asked}: error {error} for {expected}"
        if error:
            self.n_refused += 1
        else:
            self.happened(asked, payload, data)

    def ended(self, client: Client, asked: Asked) -> None:
        try:
            found = client.take(1)
        except GoneError:
            self.n_ended += 1
        else:
            raise AssertionError(f"{asked} is replied to: {found!r}")
        finally:
            client.close()
            self.client = None

    def draw(self) -> Asked:
        """A good request, mostly with one or several things about it changed."""
        random = self.random
        command = random.choice((nbd.READ, nbd.READ, nbd.WRITE, nbd.WRITE, 3, 4, 6))
        n_blocks = random.choice((1, 1, 2, 5))
        offset = random.randrange(N_BLOCKS - n_blocks) * BLOCK
        length = n_blocks * BLOCK
        if command == nbd.FLUSH:
            offset = length = 0
        fields = [0x25609513, random.choice((0, 0, 1)), command, random.getrandbits(64)]
        fields += [offset, length]
        for _ in range(random.choice((0, 1, 1, 2, 3))):
            # The magic less often: each time that is the connection's end.
            at = random.choice((1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 0)) if random.random() < 0.3 else 4
            at = at if at != 4 or random.random() < 0.5 else random.choice((1, 2, 5))
            match random.randrange(4):
                case 0:
                    fields[at] ^= 1 << random.randrange(WIDTHS[at])
                case 1:
                    fields[at] = random.choice(NUMBERS) % 2 ** WIDTHS[at]
                case 2:
                    fields[at] = (fields[at] + random.choice((-1, 1, 512, BLOCK))) % 2 ** WIDTHS[at]
                case _:
                    fields[at] = random.getrandbits(WIDTHS[at]) >> random.randrange(WIDTHS[at])
        if fields[2] == nbd.WRITE and 2**20 < fields[5] <= LONGEST and random.random() < 0.98:
            # Long payloads that are refused cost time: a few are enough.
            fields[5] %= 2**16
        return Asked(*fields)

    def payload(self, asked: Asked) -> bytes:
        if asked.command != nbd.WRITE or asked.length > LONGEST or asked.magic != 0x25609513:
            return b""
        piece = self.random.randbytes(8)
        return (piece * (asked.length // 8 + 1))[: asked.length]

    def due(self, asked: Asked, structured: bool) -> int:
        """What a request leads to: 0, an error, or ENDS."""
        if asked.magic != 0x25609513 or asked.command == nbd.DISC:
            return ENDS
        if asked.command == nbd.WRITE and asked.length > LONGEST:
            return ENDS
        allowed = {nbd.READ: 1 | nbd.DF * structured, nbd.WRITE: 1, nbd.FLUSH: 1, nbd.TRIM: 1}
        allowed[nbd.ZEROES] = 3
        if asked.command not in allowed or asked.flags & ~allowed[asked.command]:
            return nbd.EINVAL
        if asked.command == nbd.FLUSH:
            return nbd.EINVAL if asked.offset or asked.length else 0
        if asked.length == 0 or asked.offset % BLOCK or asked.length % BLOCK:
            return nbd.EINVAL
        if asked.offset + asked.length > SIZE:
            return nbd.ENOSPC if self.writes(asked) and asked.command != nbd.TRIM else nbd.EINVAL
        return 0

    @staticmethod
    def writes(asked: Asked) -> bool:
        return asked.command in (nbd.WRITE, nbd.TRIM, nbd.ZEROES)

    def happened(self, asked: Asked, payload: bytes, data: bytes) -> None:
        """A request was done: compare what was read, remember what was written."""
        for position in range(0, asked.length, BLOCK):
            place = (asked.offset + position) // BLOCK
            if asked.command == nbd.READ:
                found = data[position : position + BLOCK]
                assert found in self.held[place], f"{asked}: block {place} is not what was written"
            elif asked.command == nbd.TRIM:
                self.held[place] = set(self.ever[place])
            elif self.writes(asked):
                written = payload[position : position + BLOCK] or bytes(BLOCK)
                self.held[place] = {written}
                self.ever[place].add(written)

    def handshake(self) -> None:
        """A mutated negotiation: whatever is replied, the server stays."""
        random = self.random
        self.n_handshakes += 1
        client = Client(self.address, go=False)
        parts = [struct.pack(">I", 3)]
        for _ in range(random.randrange(4)):
            number = random.choice((2, 3, 5, 6, 7, 8, 9, 11, random.getrandbits(32)))
            data = random.choice((b"", nbd.info(), nbd.info(b"", 3, 1), random.randbytes(9)))
            parts.append(nbd.option(number, data))
        sent = bytearray(b"".join(parts))
        for _ in range(random.randrange(1, 4)):
            sent[random.randrange(len(sent))] ^= 1 << random.randrange(8)
        try:
            # No request follows: what has been agreed on by chance changes nothing.
            client.send(bytes(sent[: random.randrange(1, len(sent) + 1)]))
            client.socket.shutdown(1)
            while True:
                client.take(1)
        except (GoneError, OSError):
            pass
        finally:
            client.close()


def fuzz(n_requests: int, seed: int) -> Fuzzer:
    """Fuzz a new server in this process."""
    with served() as running:
        fuzzer = Fuzzer(running.address, seed)
        try:
            fuzzer.run(n_requests)
        finally:
            if fuzzer.client is not None:
                fuzzer.client.close()
        assert running.engine.status().startswith("0 "), "the engine has met an error"
        return fuzzer


def described(fuzzer: Fuzzer) -> str:
    return (
        f"{fuzzer.n_requests:,} requests: {fuzzer.n_refused:,} refused, {fuzzer.n_ended:,} ended "
        f"the connection; {fuzzer.n_handshakes:,} mutated handshakes; all data intact"
    )


def main() -> None:
    """Fuzz as long as is asked."""
    parser = argparse.ArgumentParser(description="Fuzz the NBD server.")
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    print(described(fuzz(wanted.requests, wanted.seed)))


if __name__ == "__main__":
    main()
