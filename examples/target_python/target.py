#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""A writecache in memory that speaks the line protocol (docs/line-protocol.md), levels 1 and 2.

Simple, slow and right; the standard library alone.  A write takes a free block of the cache; a
commit writes all entries, then the superblock whose sequence count makes them valid; a cache that
is full is written back whole.  `--plant-bug order|flush|discard|fua|read|image` makes it wrong.
"""

import json
import random
import struct
import sys

SECTOR, FREE = 512, (2**64 - 1, 2**64 - 1)
BUG = sys.argv[2] if sys.argv[1:2] == ["--plant-bug"] else ""


class RefusedError(Exception):
    """Its text is an errno's name."""


class PowerFailedError(Exception):
    """At the I/O that was asked for."""


class Device:
    """A file with a volatile write cache: what is pending may be lost, sector by sector."""

    def __init__(self, path, count_io):
        self.path, self.count_io = path, count_io
        with open(path, "rb") as file:
            self.now = bytearray(file.read())
        self.durable, self.pending = bytearray(self.now), set()

    def read(self, sector, count):
        return bytes(self.now[sector * SECTOR : (sector + count) * SECTOR])

    def write(self, sector, data):
        self.now[sector * SECTOR : sector * SECTOR + len(data)] = data
        self.pending |= set(range(sector, sector + len(data) // SECTOR))
        self.count_io()

    def flush(self):
        self.count_io()
        self.lose(lambda: True)

    def lose(self, is_kept):
        for sector in sorted(self.pending):
            place = slice(sector * SECTOR, (sector + 1) * SECTOR)
            if is_kept():
                self.durable[place] = self.now[place]
        self.now, self.pending = bytearray(self.durable), set()

    def save(self):
        with open(self.path, "wb") as file:
            file.write(self.now)


class Cache:
    """Both devices and, while it is open, what is where."""

    def __init__(self):
        self.after, self.lottery, self.is_open = 0, random.Random(0), False

    def count_io(self):
        self.after -= 1
        if self.after == 0:
            raise PowerFailedError

    def power_fails(self):
        for device in (self.cache, self.origin):
            device.lose(lambda: self.lottery.random() < 0.5)
        self.is_open, self.after = False, 0

    # Metadata: 64 bytes (magic, version, block size, -, blocks, sequence count, ...), then for each
    # block its sector of the origin and its sequence count; little endian, as Linux has it.

    def open(self, table):
        if self.is_open:
            self.commit()
        block_size = int(table.split()[3])
        magic, version, old_size, _, n_blocks, seq_count = struct.unpack_from(
            "<4I2Q", self.cache.now
        )
        is_old = magic == 0x23489321
        if is_old and (version, old_size) != (1, block_size):
            raise RefusedError("EINVAL")
        size, self.block_size, self.sectors = len(self.cache.now), block_size, block_size // SECTOR
        n_blocks = n_blocks if is_old else size // (block_size + 16)
        while n_blocks and self.start(n_blocks) * SECTOR + n_blocks * block_size > size:
            n_blocks -= 1
        if not n_blocks:
            raise RefusedError("ENOSPC")
        self.data, self.seq_count = self.start(n_blocks), seq_count if is_old else 0
        self.entries = [FREE] * n_blocks  # sector of the origin, sequence count
        for i in range(n_blocks if is_old else 0):
            sector, seq = struct.unpack_from("<2Q", self.cache.now, 64 + 16 * i)
            if seq < seq_count:  # else it was never committed
                self.entries[i] = (sector * self.unit(), seq)
        self.drop_outdated()
        self.is_open = True

    def unit(self):
        return self.sectors if BUG == "image" else 1

    def start(self, n_blocks):
        """The sector of the first block."""
        return -(-(64 + 16 * n_blocks) // self.block_size) * self.sectors

    def write_metadata(self, n_sectors=None):
        area = struct.pack(
            "<4I2Q32x", 0x23489321, 1, self.block_size, 0, len(self.entries), self.seq_count
        )
        for sector, seq in self.entries:
            area += struct.pack("<2Q", *FREE if seq == FREE[1] else (sector // self.unit(), seq))
        area = area.ljust(self.data * SECTOR, b"\0")
        self.cache.write(0, area[: (n_sectors or self.data) * SECTOR])

    def latest(self):  # number of the latest block of each sector
        order = sorted(range(len(self.entries)), key=lambda i: self.entries[i][1])
        return {self.entries[i][0]: i for i in order if self.entries[i] != FREE}

    def drop_outdated(self):
        kept = set(self.latest().values())
        self.entries = [e if i in kept else FREE for i, e in enumerate(self.entries)]
        self.write_metadata()
        self.cache.flush()

    def commit(self):
        if BUG == "flush":
            return
        self.write_metadata()
        if BUG != "order":
            self.cache.flush()  # data and entries, before what makes them valid
        self.seq_count += 1
        self.write_metadata(1)
        self.cache.flush()
        self.drop_outdated()

    def write_back(self):
        self.commit()
        for sector, block in self.latest().items():
            self.origin.write(sector, self.block(block))
        self.origin.flush()
        self.entries = [FREE] * len(self.entries)
        self.write_metadata()
        self.cache.flush()

    def block(self, number):
        return self.cache.read(self.data + number * self.sectors, self.sectors)

    # Requests

    def places(self, sector, count):
        if (sector | count) % self.sectors or (sector + count) * SECTOR > len(self.origin.now):
            raise RefusedError("EINVAL")
        return range(sector, sector + count, self.sectors)

    def read(self, sector, count):
        latest = {} if BUG == "read" and count > self.sectors else self.latest()
        data = [
            self.block(latest[at]) if at in latest else self.origin.read(at, self.sectors)
            for at in self.places(sector, count)
        ]
        return {"data": b"".join(data).hex()}

    def write(self, sector, count, tag):
        for at in self.places(sector, count):
            words = (struct.pack("<2Q", tag, at + i) * 32 for i in range(self.sectors))
            self.write_block(at, b"".join(words))

    def write_block(self, at, data):
        number = self.latest().get(at)
        if number is None or self.entries[number][1] != self.seq_count:
            # What is committed stays until the next commit.
            if FREE not in self.entries:
                self.write_back()
            number = self.entries.index(FREE)
            self.entries[number] = (at, self.seq_count)
        self.cache.write(self.data + number * self.sectors, data)

    def write_fua(self, *write):
        self.write(*write)
        if BUG != "fua":
            self.commit()

    def zeroes(self, sector, count):
        for at in self.places(sector, count):
            self.write_block(at, bytes(self.block_size))

    def discard(self, sector, count):
        self.zeroes(sector, count - self.sectors if BUG == "discard" else count)
        if BUG == "discard":
            self.write_block(sector + count - self.sectors, b"?" * self.block_size)

    def message(self, *words):
        if words != ("flush",):
            raise RefusedError("EINVAL")
        self.write_back()

    def status(self):
        return {"status": f"0 {len(self.entries)} {self.entries.count(FREE)} 0"}

    flush = suspend = commit

    def resume(self):
        pass

    # What is asked of the devices

    def hello(self, _protocol):
        can = "fua discard zeroes message suspend status snapshot crash crash-within"
        return {"name": "target_python", "level": 2, "can": can.split()}

    def new(self, cache, origin):
        self.is_open, self.after = False, 0
        self.cache, self.origin = Device(cache, self.count_io), Device(origin, self.count_io)

    def snapshot(self):
        self.cache.save()
        self.origin.save()

    def crash(self, seed, after):
        self.lottery, self.after = random.Random(seed), after
        if not after:
            self.power_fails()


def main():
    cache = Cache()
    anytime = {"open", "hello", "new", "snapshot", "crash"}
    words = {"write", "write_fua", "read", "flush", "discard", "zeroes", "message", "suspend",
             "resume", "status", *anytime}  # fmt: skip
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            if name not in words or not (cache.is_open or name in anytime):
                raise RefusedError("EINVAL")
            reply = getattr(cache, name)(*arguments) or {}
        except RefusedError as error:
            reply = {"errno": str(error)}
        except PowerFailedError:
            cache.power_fails()
            reply = {"crashed": True}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
