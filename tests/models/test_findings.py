"""The faithful reference breaks the contract on each finding's trace; its repair mends it."""

import pytest

from writecache_models.finding import (
    Finding,
    Synced,
    Trace,
    faithful,
    repaired,
    show,
    table_for,
)
from writecache_models.findings import (
    FINDINGS,
    finding_named,
    finding_of,
)
from writecache_spec.profile import PROFILES
from writecache_spec.repairs import Repair

each = pytest.mark.parametrize("finding", FINDINGS, ids=lambda one: one.name)


@each
def test_the_faithful_reference_breaks_the_contract(finding: Finding) -> None:
    assert show(finding, faithful(finding)) is not None


@each
def test_the_repaired_reference_keeps_it(finding: Finding) -> None:
    assert show(finding, repaired(finding)) is None


@each
def test_without_its_repair_it_is_broken_again(finding: Finding) -> None:
    """So no other repair hides it, and this one is not there in vain."""
    assert show(finding, repaired(finding, without=True)) is not None


def test_every_repair_mends_a_finding_and_every_finding_has_one() -> None:
    assert {one.repair for one in FINDINGS} == set(Repair)
    assert len({one.name for one in FINDINGS}) == len(FINDINGS)
    assert [finding_of(one.repair) for one in FINDINGS] == list(FINDINGS)
    assert finding_of(None) is None
    assert finding_named("format-crash").repair is Repair.FORMAT_VERSION
    with pytest.raises(KeyError):
        finding_named("no-such-finding")


def test_there_are_enough_of_them() -> None:
    assert len(FINDINGS) >= 9
    assert len({one.cause for one in FINDINGS}) >= 5
    # What can be shown on a live kernel is, and the others say why not.
    for finding in FINDINGS:
        shown = finding.live_trace is not None or isinstance(finding.live, Synced)
        assert shown is (finding.not_live is None)


@each
def test_few_operations_are_enough(finding: Finding) -> None:
    by = finding.shown_by
    if isinstance(by, Trace):
        n_operations = len(by.ops) - 1
    else:
        n_operations = sum(event[0] == "begin" for event in by.events)
    # Two reads at the end say which sector is wrong.
    assert n_operations <= (9 if finding.name == "overwrite-hits-older-version" else 6)


def test_a_table_leaves_out_what_a_profile_has_not() -> None:
    trace = Trace("s ORIGIN CACHE 512 4 pause_writeback 0 autocommit_time 9", 8, 8, ())
    assert table_for(trace, PROFILES["1.6.0"]) == trace.table
    old = table_for(trace, PROFILES["1.4.0-bullseye"])
    assert old == "s ORIGIN CACHE 512 2 autocommit_time 9"
