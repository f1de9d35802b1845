"""Clients: whoever has a request under way, from its beginning to what the contract hears of it."""

from typing import Any

from writecache_models.stage import Stage
from writecache_models.symbolic import Disk
from writecache_models.world import Client, Piece
from writecache_spec.events import Bio, BioPrivate, Device, EndIo, Map
from writecache_spec.events import Op as Asks
from writecache_spec.remainder import remainder
from writecache_spec.state import blocks_at, flush_numbers
from writecache_spec.units import Sector

Op = tuple[Any, ...]
"""An operation, as vectors write it, without a tag."""


class Clients(Stage):
    """An event of a request."""

    def _client(self, tag: int) -> Client:
        return next(client for client in self.world.clients if client.tag == tag)

    def _put(self, changed: Client) -> None:
        self._become(
            clients=tuple(
                changed if client.tag == changed.tag else client for client in self.world.clients
            )
        )

    def _begin_request(self, op: Op) -> None:
        contract = self.world.contract
        tag = self.world.n_begun - 1
        name, sector, n_sectors = op if len(op) == 3 else (op[0], Sector(0), Sector(0))
        readable: tuple[frozenset[Any], ...] = ()
        bios: tuple[Bio, ...]
        match name:
            case "write" | "write_fua":
                fua = name == "write_fua"
                bios = (Bio(Asks.WRITE, sector, n_sectors, fua, tag=tag),)
                base = self._value_of(bios[0])
                values = range(base + sector, base + sector + n_sectors)
                request = contract.write(sector, values, fua)
            case "read":
                bios = (Bio(Asks.READ, sector, n_sectors, tag=tag),)
                request = contract.flush()
                readable = tuple(contract.readable(sector + i) for i in range(n_sectors))
            case "discard":
                bios = (Bio(Asks.DISCARD, sector, n_sectors, tag=tag),)
                request = contract.discard(sector, n_sectors)
            case "flush":
                numbers = flush_numbers(self._wc().config)
                bios = tuple(Bio(Asks.FLUSH, flush_number=i, tag=tag) for i in numbers)
                request = contract.flush()
            case _:
                raise ValueError(f"no such operation: {op}")
        client = Client(tag, request, op, bios, readable=readable)
        self._become(clients=(*self.world.clients, client))

    def _map(self, tag: int) -> None:
        """Offer the cache what is left of a request."""
        client = self._client(tag)
        bio = client.rest[0]
        n_pieces = len(self.world.pieces)
        self._put(client._replace(n_flying=client.n_flying + 1, rest=client.rest[1:]))
        self._step(Map(bio))
        if tag in self._wc().sleeping:
            assert self._rest is not None
            self._put(client._replace(rest=(self._rest, *client.rest[1:])))
            return
        if len(self.world.pieces) == n_pieces:
            return
        piece = self.world.pieces[-1]
        left = remainder(self.setting.profile, bio, piece.bio, piece.n_sectors)
        if left is None:
            return
        client = self._client(tag)
        self._put(client._replace(rest=(left, *client.rest)))
        if left.op is Asks.READ and left.sector + left.n_sectors < bio.sector + bio.n_sectors:
            # The end of the buffer is what it was before.
            self.violations.append("what is read is not the last that was written")

    def _end_io(self, number: int, failed: bool) -> None:
        """A disk has done a piece, or failed to."""
        world = self.world
        piece = world.pieces[number]
        bio = piece.bio
        pieces = (*world.pieces[:number], *world.pieces[number + 1 :])
        self._become(pieces=pieces, n_failed=world.n_failed + failed)
        if piece.writes:
            disk = world.disk(piece.device)
            disk = disk.fail(piece.writes) if failed else disk.write(piece.writes, bio.fua)
            self._become(**{piece.device.value: disk})
        elif bio.op is Asks.FLUSH and not failed:
            self._flush(piece.device)
        elif bio.op is Asks.READ and not failed:
            self._read(piece)
        blocks = range(0)
        if piece.device is Device.CACHE:
            blocks = blocks_at(self._wc().config, piece.sector, piece.n_sectors)
        self._step(EndIo(bio, piece.private, failed, blocks=blocks))
        if piece.private is not BioPrivate.FUA_IN_PROGRESS or failed:
            self._report(bio, "EIO" if failed else None)

    def _read(self, piece: Piece) -> None:
        first: int = piece.sector
        if piece.device is Device.CACHE:
            first = self.shape.place(piece.sector)
        bio = piece.bio._replace(n_sectors=piece.n_sectors)
        self._compare(bio, self.world.disk(piece.device), first)

    def _load(self, bio: Bio, first: int) -> None:
        self._compare(bio, self.world.cache, first)

    def _compare(self, bio: Bio, disk: Disk, first: int) -> None:
        """What a piece of a read returns, and what it may."""
        client = self._client(bio.tag)
        at = bio.sector - client.op[1]
        readable = client.readable[at : at + bio.n_sectors]
        for place, allowed in zip(range(first, first + bio.n_sectors), readable, strict=True):
            if disk.read(place) not in allowed:
                self.violations.append("what is read is not the last that was written")

    def _report(self, bio: Bio, errno: str | None) -> None:
        """A piece of a request is reported."""
        client = self._client(bio.tag)
        client = client._replace(n_flying=client.n_flying - 1, errno=client.errno or errno)
        self._put(client)
        # What has failed is not mapped any further; what sleeps has been mapped already.
        ends = (client.errno and bio.tag not in self._wc().sleeping) or not client.rest
        if not client.n_flying and ends:
            self._end_client(client)

    def _end_client(self, client: Client) -> None:
        """A request ends, of which nothing is left or that failed: from here on it is promised."""
        failed = client.errno is not None
        contract = self.world.contract.fork()
        if client.op[0] == "flush":
            contract.end_flush(client.request, failed)
        elif client.op[0] != "read":
            contract.end(client.request, failed)
        if failed and not self.world.n_failed:
            self.violations.append(f"{client.op[0]} fails though no disk does")
        clients = tuple(one for one in self.world.clients if one.tag != client.tag)
        self._become(clients=clients, contract=contract)

    def _note_readable(self) -> None:
        """What may be read changes while a read is under way."""
        for client in self.world.clients:
            if client.readable:
                readable = tuple(
                    old | self.world.contract.readable(sector)
                    for sector, old in enumerate(client.readable, client.op[1])
                )
                self._put(client._replace(readable=readable))
