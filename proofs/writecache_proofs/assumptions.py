"""What the proofs assume, listed once."""

from typing import Final

ASSUMPTIONS: Final = (
    (
        "atomic sectors",
        "A sector of 512 bytes is written whole or not at all; of several that no flush has "
        "covered a crash keeps any set, in any order.",
    ),
    (
        "atomic words",
        "An aligned word of 8 bytes of persistent memory is stored whole; of those that no fence "
        "has covered a crash keeps any set.",
    ),
    (
        "flush, FUA and fence",
        "A device that reports a flush has made durable what it had completed before; a FUA "
        "write is durable when it is complete; a fence makes all stores before it durable.",
    ),
    (
        "order of effects",
        "A metadata write is complete before the next effect of a transition begins; between two "
        "events nothing of the metadata is in flight.",
    ),
    (
        "no I/O error",
        "The theorems of commit and recovery are about operations whose I/O succeeds; what "
        "errors do is searched by `writecache fuzz` and `explore`.",
    ),
    (
        "data of a block",
        "A block's data is one value, durable from the first flush after its write is complete; "
        "the data of requests is complete when a commit flushes (the transition waits for it).",
    ),
    (
        "block sizes",
        "512, 1024, ... 65536 bytes: powers of two from a sector to the largest page. The "
        "theorems of commit are about blocks of 512 bytes; no function that they are about reads "
        "the size.",
    ),
    (
        "device sizes",
        "Up to 2**63 - 1 bytes, the largest of a Linux block device, unless a theorem says "
        "otherwise.",
    ),
    (
        "the sequence count has not wrapped",
        "Commit is proved for counts up to 2**64 - 3: at one commit a nanosecond that is 584 "
        "years. What happens at the end is a theorem of its own.",
    ),
    (
        "places of blocks",
        "The blocks of a state stand in the order in which they were inserted, each entry in a "
        "sector of its own: a crash then keeps any set of entries, which covers every other "
        "arrangement.",
    ),
    (
        "number of blocks",
        "Commit, discard and the end of writeback are proved for as many blocks in use as the "
        "bound says, among any number that is free. The induction is over caches of 2 or 3 blocks "
        "in all, each block in any state that the invariants allow, and requests of 1 or 2 blocks: "
        "traces of any length, but not any number of blocks.",
    ),
    (
        "what the world owes",
        "The end of a copy comes once, for a copy that was begun; the end of a request's I/O for "
        "one that is in flight; and device-mapper lets no request in while the device is "
        "suspended.",
    ),
    (
        "order of the induction",
        "Events are whole transitions of `step`, with `violated` of `writecache_spec.invariants` "
        "empty before and after each, on the repaired profile 1.6.0. A crash may come at every "
        "effect of one.",
    ),
    (
        "struct",
        "Python's `struct` encodes unsigned numbers little-endian, as it documents: the codec is "
        "proved with a stand-in that does just that, and compared with the real one byte by "
        "byte.",
    ),
    (
        "the solver",
        "Z3 answers `unsat` only where that is so; `--second-solver` asks cvc5 again. The "
        "executor is compared with Python on a model of every path.",
    ),
)
"""Each with a name."""
