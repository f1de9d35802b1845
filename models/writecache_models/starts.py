"""Starts: paths to where walks seldom come by chance, and go on from there.

Each ends with an event of a cell of the matrix that is rare: hit by a walk, and shrunk.  They are
followed as far as they go, so a start is none only where the profile does something else on it.
All are of three cache blocks of 512 bytes over an origin of two.
"""

from typing import Final, NamedTuple

from writecache_models.candidates import Turn
from writecache_models.walking import events_of

N_ENTRIES: Final = 3
N_BLOCKS: Final = 2


class Start(NamedTuple):
    """Events that a walk begins with."""

    options: str
    events: tuple[Turn, ...]


def _start(options: str, path: str) -> Start:
    return Start(options, events_of(path))


_EAGER: Final = "4 high_watermark 0 low_watermark 0"
_LAZY: Final = "4 high_watermark 100 low_watermark 100"
_HASTY: Final = "2 autocommit_blocks 1"

STARTS: Final = (
    # go on / edges / committed, 2nd
    _start(
        _HASTY,
        "open; begin write 1 1; map 0; io 0 False; work None; begin write 0 2; map 1; "
        "work None; io 0 False; begin suspend; work None; work None; work None; "
        "work None; work None; go on",
    ),
    # go on / edges / uncommitted, 2nd
    _start(
        _LAZY,
        "open; begin write 0 2; map 0; begin write 0 1; io 0 False; "
        "begin message flush; work None; map 1; work None; copy 0 True; "
        "endio take None; endio None; work None; go on",
    ),
    # resume / within / committed, 2nd
    _start(
        _HASTY,
        "open; begin suspend; go on; begin open; begin write 1 1; map 2; io 0 False; "
        "work None; work None; work None; begin write 0 2; map 3; io 0 False; "
        "work None; copy 0 False; work None; work None; endio take None; work None; "
        "endio 0; copy 0 False; endio take None; endio None; begin suspend; go on; "
        "begin open",
    ),
    # go on / edges / overwritten
    _start(
        _LAZY,
        "open; begin write 1 1; map 0; io 0 False; begin suspend; go on; begin resume; "
        "begin write 0 1; map 3; timer autocommit; io 0 False; begin write 0 2; "
        "work None; map 4; map 4; io 1 False; io 0 False; begin flush; map 5; "
        "flush thread 0; begin suspend; go on",
    ),
    # commit / within / committed, 2nd
    _start(
        _HASTY,
        "open; begin suspend; go on; begin open; begin suspend; go on; begin open; "
        "begin write 0 1; map 4; io 0 False; begin write 1 1; work None; map 5; "
        "work None; work None; io 0 False; work None; begin write 1 1; work None; "
        "map 6; work None; io 0 False; work None; work None; begin write 0 2; "
        "copy 0 False; endio take None; endio None; map 7; io 0 False; work None; "
        "work None",
    ),
    # do flush / within / committed, 2nd
    _start(
        _EAGER,
        "open; begin write 1 1; map 0; io 0 False; work None; work None; work None; "
        "begin write 1 1; map 1; begin flush; map 2; io 0 False; work None; "
        "begin write 0 1; map 3; io 0 False; flush thread None",
    ),
    # message flush / within / committed, 2nd
    _start(
        _EAGER,
        "open; begin write 0 1; map 0; io 0 False; work None; begin write 0 1; map 1; "
        "work None; io 0 False; begin write 1 1; work None; work None; map 2; "
        "io 0 False; begin message flush",
    ),
    # suspend / within / committed, 2nd
    _start(
        _EAGER,
        "open; begin suspend; work None; go on; begin resume; begin write 1 1; map 2; "
        "io 0 False; work None; begin write 0 2; map 3; io 0 False; work None; "
        "work None; work None; work None; begin write 0 1; copy 0 False; "
        "endio take None; endio None; map 4; io 0 False; begin write 1 1; work None; "
        "work None; work None; copy 1 False; endio take None; endio None; map 5; "
        "io 0 False; begin suspend",
    ),
    # resume / within / overwritten: an entry of a write that failed is left on the disk
    _start(
        _EAGER,
        "open; begin write 0 1; map 0; io 0 False; begin flush; map 1; flush thread None; "
        "map 1; io 0 False; work None; work None; begin write 0 1; map 2; io 0 False; "
        "begin flush; map 3; flush thread None; map 3; io 0 False; begin write 1 1; map 4; "
        "io 0 True; copy 0 False; endio take None; endio None; begin write 0 1; map 5; "
        "io 0 False; begin flush; map 6; flush thread 0; begin suspend; work None; work None; "
        "go on; begin open",
    ),
    # message flush / within / committed
    _start(
        _LAZY,
        "open; begin write 1 1; begin write_fua 0 1; map 1; io 0 False; flush thread None; "
        "map 0; io 0 False; begin message flush",
    ),
    # message flush / within / overwritten
    _start(
        _HASTY,
        "open; begin write_fua 0 1; map 0; io 0 False; flush thread None; begin write 0 2; "
        "map 1; map 1; io 0 False; io 0 False; begin message flush",
    ),
    # message flush / within / copied
    _start(
        _HASTY,
        "open; begin write 0 2; begin write 0 1; map 1; io 0 False; work None; work None; "
        "map 0; copy 0 False; io 0 False; begin message flush",
    ),
    # select / within / committed, 2nd
    _start(
        _EAGER,
        "open; begin write 0 1; map 0; io 0 False; begin write 1 1; begin write_fua 0 1; "
        "timer autocommit; work None; work None; work None; map 2; io 0 False; work None; "
        "map 1; io 0 False; work None",
    ),
    # suspend / within / committed, 2nd
    _start(
        _HASTY,
        "open; begin write 0 1; map 0; io 0 False; work None; begin write 0 1; work None; "
        "work None; map 1; io 0 False; begin write 1 1; work None; map 2; io 0 False; "
        "begin suspend",
    ),
    # suspend / within / overwritten
    _start(
        _EAGER,
        "open; begin write 0 1; map 0; io 0 False; begin flush; map 1; map 1; "
        "flush thread None; io 0 True; begin write 1 1; map 2; io 0 False; begin write 0 2; "
        "map 3; io 0 False; begin suspend",
    ),
    # open / within / uncommitted, 2nd: a commit has written its entries, and the power fails
    Start(
        _LAZY,
        (
            *events_of(
                "open; begin write 1 1; map 0; io 0 False; begin flush; map 1; map 1; "
                "flush thread None; io 0 False; begin write 0 2; map 2; io 0 False"
            ),
            ("crash", ("begin", "message", "flush"), 0, 1),
            ("open",),
        ),
    ),
)

MEMORY_STARTS: Final = (
    # resume / within / committed: what a write that came before an error has left is erased
    _start(
        _EAGER,
        "open; begin write_fua 0 1; map 0; work None; work None; work None; begin write 1 1; "
        "copy 0 True; map 1; endio take None; endio None; work None; begin suspend; go on; "
        "begin open",
    ),
    # resume / within / committed, 2nd
    _start(
        _HASTY,
        "open; begin write_fua 0 1; map 0; work None; begin write_fua 0 2; work None; "
        "copy 0 True; endio take None; map 1; work None; endio None; work None; "
        "begin suspend; go on; begin open",
    ),
    # resume / within / uncommitted, 2nd
    _start(
        _EAGER,
        "open; begin write 0 1; map 0; work None; work None; begin write 0 1; map 1; "
        "copy 0 True; endio take None; endio None; begin suspend; work None; work None; "
        "go on; begin open",
    ),
    # go on / edges / uncommitted, 2nd
    _start(
        _EAGER,
        "open; begin write_fua 0 2; map 0; work None; begin write 1 1; begin message flush; "
        "map 1; work None; copy 0 True; endio take None; endio None; work None; work None; go on",
    ),
    # message flush / within / committed, 2nd
    _start(
        _HASTY,
        "open; begin write_fua 0 1; map 0; begin write_fua 0 1; work None; map 1; "
        "begin write 0 2; map 2; begin message flush",
    ),
    # message flush / within / copied
    _start(
        _EAGER,
        "open; begin write 0 2; map 0; begin write 0 1; work None; work None; map 1; "
        "copy 0 False; begin message flush",
    ),
    # message flush / within / flushed
    _start(
        _EAGER,
        "open; begin write_fua 0 1; map 0; work None; work None; copy 0 False; "
        "begin write 0 2; map 1; endio take None; begin message flush",
    ),
    # suspend / within / committed, 2nd
    _start(
        _EAGER,
        "open; begin write 1 1; map 0; work None; begin write_fua 1 1; map 1; "
        "begin write 0 1; map 2; begin suspend",
    ),
    # suspend / within / copied
    _start(
        _EAGER,
        "open; begin write 0 2; map 0; work None; begin write 0 1; work None; copy 0 True; "
        "map 1; begin suspend",
    ),
    # suspend / within / flushed
    _start(
        _EAGER,
        "open; begin write 1 1; map 0; work None; work None; copy 0 False; begin write 0 2; "
        "endio take None; map 1; begin suspend",
    ),
)
"""The same in persistent-memory mode."""
