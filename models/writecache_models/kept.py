"""Violations of targets, kept as traces to be played again: nobody has recorded them."""

from typing import Final

from writecache_models.trace import Trace

VIOLATION_OF: Final = "violation_of"
"""The header's key for the target's name."""


def violated_target(trace: Trace) -> str | None:
    """The target that a trace is a kept violation of; None: it is none.

    Empty where the file does not say.  What a kernel has recorded of one is none any more.
    """
    told = any("violation" in seen for _, seen in trace.steps)
    if trace.kernel is not None or not (told or VIOLATION_OF in trace.extra):
        return None
    return str(trace.extra.get(VIOLATION_OF, ""))
