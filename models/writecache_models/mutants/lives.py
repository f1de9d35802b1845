"""Mutants of what begins and ends a cache: suspend, resume and recovery, and messages."""

from typing import Final

from writecache_models.mutants import Edit, Mutant
from writecache_spec import messages, resume, suspend

_SUSPENDS: Final = (
    Mutant(
        "suspend-does-not-commit",
        "a suspend leaves uncommitted entries behind, and the next resume erases them",
        (
            Edit(
                suspend.suspend,
                "flush(wc._replace(suspended=True), transcript)",
                "wc._replace(suspended=True)",
            ),
        ),
    ),
    Mutant(
        "suspend-does-not-wait-for-writeback",
        "a suspend ends while blocks are being copied",
        (Edit(suspend.suspend_end, "    if wc.writeback_size:\n", "    if False:\n"),),
    ),
)

_RECOVERY: Final = (
    Mutant(
        "resume-erases-in-memory-only",
        "a resume does not write what it has erased",
        (Edit(resume.resume, "    if rebuilt.erased:\n", "    if False:\n"),),
        n_entries=29,
    ),
    Mutant(
        "resume-leaves-uncommitted",
        "a resume writes nothing where it has found uncommitted entries only",
        (
            Edit(
                resume._rebuild,
                "                rebuilt.erased.append(index)\n",
                "                pass\n",
            ),
        ),
        n_entries=4093,
        caught_by="vectors",
    ),
    Mutant(
        "resume-leaves-duplicates",
        "a resume writes nothing where it has found replaced entries only",
        (Edit(resume._rebuild, "        rebuilt.erased.append(loser)\n", ""),),
        n_entries=29,
    ),
    Mutant(
        "lesser-count-wins",
        "of two committed entries of a sector a resume takes the older",
        (Edit(resume._rebuild, "old_seq_count > entry", "old_seq_count < entry"),),
    ),
    Mutant(
        "first-of-equals-wins",
        "of two entries of a sector with one count a resume takes the first",
        (Edit(resume._rebuild, "old_seq_count > entry", "old_seq_count >= entry"),),
        caught_by="vectors",
    ),
    Mutant(
        "equals-are-no-error",
        "two entries of a sector with one count are taken without complaint",
        (Edit(resume._rebuild, "if old_seq_count == entry.seq_count:", "if False:"),),
        caught_by="vectors",
    ),
)

_MESSAGES: Final = (
    Mutant(
        "flush-message-does-not-commit",
        "a flush message does not commit before it asks for writeback",
        (Edit(messages._flush_message, "    wc = flush(wc, transcript)\n", ""),),
    ),
    Mutant(
        "flush-message-asks-for-a-pass",
        "a flush message waits for one ordinary pass of writeback",
        (
            Edit(messages._flush_message, "writeback_all=wc.writeback_all + 1", ""),
            Edit(
                messages.flush_message_end,
                '    require(wc.writeback_all, "no flush message is under way")\n',
                "",
            ),
            Edit(messages.flush_message_end, "writeback_all=wc.writeback_all - 1", ""),
        ),
    ),
    Mutant(
        "flush-message-returns-at-once",
        "a flush message returns when the writeback that it asks for is queued",
        (
            Edit(
                messages._flush_message,
                "    transcript.tell(AwaitWorkQueue(drain=False))\n"
                "    return wc._replace(writeback_all=wc.writeback_all + 1)\n",
                "    transcript.tell(Returned(None))\n    return wc\n",
            ),
        ),
    ),
    Mutant(
        "flush-message-hides-error",
        "a flush message whose writeback met an error returns as if it had not",
        (Edit(messages.flush_message_end, '"EIO" if wc.error else None', "None"),),
        failures=1,
    ),
)

LIVES: Final = _SUSPENDS + _RECOVERY + _MESSAGES
"""All of them."""
