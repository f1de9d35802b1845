"""What was judged, for people and for programs."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from writecache_impl.cli.common import escaped, print_json, print_table
from writecache_impl.cli.exits import FAULTY_INPUT, FINE, PROBLEMS
from writecache_models.judge import Report

SUMMARY_COLUMNS = (
    "kernel",
    "profile",
    "traces",
    "steps",
    "other schedule",
    "share",
    "panics",
    "divergences",
)


def percent(part: int, whole: int) -> str:
    """A share with as many digits as it needs."""
    return f"{100 * part / whole:.2f} %" if whole else "-"


def describe_divergence(report: Report) -> list[str]:
    """A divergence in lines: where, what was done, what was seen and what was expected."""
    divergence = report.divergence
    if divergence is None:
        return [escaped(f"{report.name}: {report.problem}")] if report.problem else []
    lines = [
        f"{escaped(report.name)}: step {divergence.step}: {json.dumps(divergence.op)}: none of "
        f"{divergence.schedules} schedules of profile {report.profile} explains it"
    ]
    for key, (seen, expected) in divergence.differences().items():
        lines.append(f"  {key}: seen {seen!r}, expected {expected!r}")
    return lines


def report_json(report: Report) -> Mapping[str, Any]:
    """A report's numbers, and its divergence if there is one."""
    value: dict[str, Any] = {
        "trace": report.name,
        "kernel": report.kernel,
        "profile": report.profile,
        "steps": report.steps,
        "non_canonical": len(report.deviations),
        "panics": report.panics,
    }
    if report.divergence is not None:
        value["divergence"] = {
            "step": report.divergence.step,
            "op": report.divergence.op,
            "seen": report.divergence.seen,
            "expected": report.divergence.expected,
            "schedules": report.divergence.schedules,
        }
    if report.problem:
        value["problem"] = report.problem
    return value


def print_reports(reports: list[Report], seconds: float, as_json: bool) -> int:
    """Print what was judged; the exit code."""
    steps = sum(report.steps for report in reports)
    bad = [report for report in reports if report.divergence]
    unusable = [report for report in reports if report.problem]
    if as_json:
        print_json(
            {
                "steps": steps,
                "seconds": round(seconds, 3),
                "divergences": len(bad),
                "traces": [report_json(report) for report in reports],
            }
        )
    else:
        print_table("Vectors on the reference", SUMMARY_COLUMNS, summary_rows(reports))
        other = sum(len(report.deviations) for report in reports)
        print(
            f"{steps:,} steps in {seconds:.1f} s ({steps / seconds:,.0f} steps/s); "
            f"{other} ({percent(other, steps)}) needed another than the canonical schedule; "
            f"{len(bad)} divergences"
        )
    for report in [*bad, *unusable]:
        print("\n".join(describe_divergence(report)), file=sys.stderr)
    if bad:
        return PROBLEMS
    return FAULTY_INPUT if unusable else FINE


def summary_rows(reports: list[Report]) -> list[list[Any]]:
    """One row for each kernel, with counts."""
    rows = []
    for kernel, profile in sorted({(str(r.kernel), r.profile) for r in reports}):
        mine = [r for r in reports if (str(r.kernel), r.profile) == (kernel, profile)]
        steps = sum(r.steps for r in mine)
        other = sum(len(r.deviations) for r in mine)
        panics = sum(r.panics for r in mine)
        divergences = sum(r.divergence is not None for r in mine)
        counts = [len(mine), steps, other, percent(other, steps), panics, divergences]
        rows.append([kernel, profile, *counts])
    return rows
