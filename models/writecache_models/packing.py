"""Worlds as bytes, to be kept or sent to another process.

Millions of worlds wait in an exploration, and most of each is what others have, too: so each is
compressed with *words* that all have in common.
"""

import pickle
import zlib
from typing import Final

from writecache_models.candidates import candidates
from writecache_models.clients import Op
from writecache_models.turns import turn
from writecache_models.world import Setting, World, new_world
from writecache_spec.state import Config

_STEPS: Final = 240
"""Of the path whose worlds are the words."""
_APART: Final = 48
"""Steps between two of these: all words are taken in for each world, so they are to be few."""


def words_of(setting: Setting, ops: tuple[Op, ...]) -> bytes:
    """What worlds of a setting have in common: some that lie far apart on one long path."""
    world, met = new_world(setting), []
    for number in range(_STEPS):
        events = list(candidates(setting, world, () if world.clients else ops, 0))
        turns = (turn(setting, world, events[(number + n) % len(events)], reads=False)
                 for n in range(len(events)))  # fmt: skip
        after = next((one for one in turns if one is not None and not one.violations), None)
        if after is None:
            break
        world = after.world
        met.append(world)
    return b"".join(map(_pickled, met[::_APART]))


def pack(world: World, words: bytes) -> bytes:
    """A world but for its configuration: the table is the same for all."""
    packer = zlib.compressobj(level=4, wbits=-15, zdict=words)
    return packer.compress(_pickled(world)) + packer.flush()


def unpack(packed: bytes, words: bytes, config: Config) -> World:
    """The world, whose caches get this configuration; with the words it was packed with."""
    world: World = pickle.loads(zlib.decompressobj(wbits=-15, zdict=words).decompress(packed))
    return _with(world, config)


def _pickled(world: World) -> bytes:
    return pickle.dumps(_with(world, None), pickle.HIGHEST_PROTOCOL)  # type: ignore[arg-type]


def _with(world: World, config: Config) -> World:
    """A world whose caches have this configuration."""
    if world.wc is not None:
        world = world._replace(wc=world.wc._replace(config=config))
    if world.loaded is not None:
        world = world._replace(loaded=world.loaded._replace(config=config))
    return world
