"""`writecache prove`: the theorems about the functions that ship."""

import importlib.util
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from typing import TYPE_CHECKING, Any, Final

import click

from writecache_impl.cli.common import Seconds, meter, print_json, print_table
from writecache_impl.cli.exits import FINE, NOT_JUDGED, PROBLEMS
from writecache_impl.judging import Workers, default_jobs
from writecache_proofs.families import FAMILIES as OF_THE_REFERENCE

if TYPE_CHECKING:
    from writecache_proofs.judging import Options, Outcome
    from writecache_proofs.second_solver import Counts

FAMILIES: Final = (*OF_THE_REFERENCE, "engine")
LEAST_CONFIRMED: Final = 0.9
"""Of what the second solver is asked."""


@click.command()
@click.option("--family", "families", type=click.Choice(FAMILIES), multiple=True)
@click.option("--theorem", "names", multiple=True, help="Only the theorem of this name.")
@click.option("--twins", is_flag=True, help="Show every broken twin with its counterexample.")
@click.option("--assumptions", is_flag=True, help="Print what all proofs assume, and end.")
@click.option("--second-solver", is_flag=True, help="Ask cvc5 about every contradiction, too.")
@click.option("--deep", is_flag=True, help="Also the theorems that take minutes: six entries.")
@click.option(
    "--seconds", type=Seconds(1, 86400), default=60.0, show_default=True,
    help="Of the processor, for each theorem and each twin; more is a failure.",
)  # fmt: skip
@click.option("--processes", type=click.IntRange(1, 999), help="By default one for each core.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def prove(**given: Any) -> int:
    """Prove the theorems, and refute what must be refuted.

    The subject of every theorem is the shipped function itself, run on symbolic values.  Exit code
    1 says that a theorem does not hold or a broken twin was not refuted, 3 that a solver or the
    time did not suffice.

    The JSON object's keys: `theorems`, a list; `held`, `of`, `twins_as_they_must`, `twins`,
    `slowest_seconds`, `second_solver`.

    \b
    Examples:
      writecache prove
      writecache prove --family commit --twins
      writecache prove --assumptions
    """
    if given["assumptions"]:
        return _print_assumptions(given["as_json"])
    missing = [
        name
        for name in ("z3", "crosshair", *(("cvc5",) if given["second_solver"] else ()))
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise click.UsageError(
            f"{', '.join(missing)} is missing: pip install 'writecache-reference[prove]'"
        )
    chosen = _chosen(given["families"] or FAMILIES, given["names"], given["deep"])
    outcomes = _judge_all(chosen, given)
    code = _code(outcomes)
    if given["as_json"]:
        print_json({"theorems": [_json(one) for one in outcomes], **_totals(outcomes)})
    else:
        _print(outcomes, given["twins"])
    return code


def _print_assumptions(as_json: bool) -> int:
    from writecache_proofs.assumptions import ASSUMPTIONS

    if as_json:
        print_json(dict(ASSUMPTIONS))
    else:
        for name, words in ASSUMPTIONS:
            print(f"{name}: {words}")
    return FINE


def _chosen(families: Sequence[str], names: Sequence[str], deep: bool) -> list[str]:
    """Names of the theorems to be judged."""
    from writecache_impl.proving import ALL_MODULES
    from writecache_proofs.catalogue import theorems

    found = theorems(tuple(families), ALL_MODULES)
    known = {theorem.name for theorem in found}
    for name in names:
        if name not in known:
            raise click.UsageError(f"no theorem is called {name!r}")
    return [
        theorem.name
        for theorem in found
        if (theorem.name in names if names else deep or not theorem.deep)
    ]


def _judge_all(names: Sequence[str], given: dict[str, Any]) -> list["Outcome"]:
    """Judge theorems on all processors; the outcomes in the order of the names."""
    from writecache_proofs.judging import Options

    options = Options(seconds=given["seconds"], second_solver=given["second_solver"])
    done: dict[str, Outcome] = {}
    with meter("proving", len(names), "theorems") as bar:
        for outcome in _outcomes(names, options, given["processes"] or default_jobs()):
            done[outcome.name] = outcome
            bar.advance(1)
    return [done[name] for name in names]


def _outcomes(names: Sequence[str], options: "Options", n_processes: int) -> Iterator["Outcome"]:
    from writecache_impl.proving import judge_named

    if n_processes == 1 or len(names) == 1:
        yield from (judge_named(name, options) for name in names)
        return
    with Workers(n_processes) as workers:
        # What takes long is begun first.
        futures = [workers.submit(judge_named, name, options) for name in reversed(names)]
        yield from (future.result() for future in as_completed(futures))


def _code(outcomes: Sequence["Outcome"]) -> int:
    if any(not one.fine and not one.undecided for one in outcomes):
        return PROBLEMS
    second = _second(outcomes)
    if second is not None and second.differences:
        return PROBLEMS
    if any(one.undecided for one in outcomes):
        return NOT_JUDGED
    if second is not None and second.confirmed < LEAST_CONFIRMED * second.asked:
        return NOT_JUDGED
    return FINE if outcomes else NOT_JUDGED


def _second(outcomes: Sequence["Outcome"]) -> "Counts | None":
    """What the second solver has said to all, None where it was not asked."""
    from writecache_proofs.second_solver import Counts

    total = Counts()
    for one in outcomes:
        if one.second is not None:
            total = total.plus(one.second)
    return total if total.asked else None


def _totals(outcomes: Sequence["Outcome"]) -> dict[str, Any]:
    twins = [twin for one in outcomes for twin in one.twins]
    second = _second(outcomes)
    return {
        "held": sum(one.held for one in outcomes),
        "of": len(outcomes),
        "twins_as_they_must": sum(twin.fine for twin in twins),
        "twins": len(twins),
        "slowest_seconds": round(max((one.seconds for one in outcomes), default=0.0), 2),
        "second_solver": None if second is None else second._asdict(),
    }


def _json(one: "Outcome") -> dict[str, Any]:
    second = None if one.second is None else one.second._asdict()
    twins = [{**twin._asdict()} for twin in one.twins]
    return {
        **one._asdict(),
        "kind": one.kind.value,
        "seconds": round(one.seconds, 2),
        "twins": twins,
        "second": second,
    }


def _print(outcomes: Sequence["Outcome"], twins_too: bool) -> None:
    rows = [
        [
            one.family,
            one.name.replace("_", " "),
            one.kind.value if one.held else ("undecided" if one.undecided else "REFUTED"),
            one.bound,
            f"{sum(twin.fine for twin in one.twins)}/{len(one.twins)}",
            f"{one.seconds:.1f}",
        ]
        for one in outcomes
    ]
    print_table("Theorems", ["family", "theorem", "kind", "bound", "twins", "seconds"], rows)
    for one in outcomes:
        if one.problem:
            print(f"{one.name}: {one.problem}{_values(one.counterexample)}")
        for twin in one.twins:
            if twins_too or not twin.fine:
                verdict = twin.verdict if twin.fine else f"NOT {twin.verdict.upper()}"
                finding = f" (finding {twin.finding})" if twin.finding else ""
                words = f"{one.name}: {twin.words}{finding}: {verdict}: {twin.what}"
                print(f"{words}{_values(twin.values)}")
    totals = _totals(outcomes)
    print(
        f"{totals['held']} of {totals['of']} theorems hold, {totals['twins_as_they_must']} of "
        f"{totals['twins']} twins are as they must be (broken ones refuted, and what ships where "
        f"something is necessary held); the slowest took {totals['slowest_seconds']} s"
    )
    second = totals["second_solver"]
    if second is not None:
        share = second["confirmed"] / second["asked"]
        print(
            f"second solver: {second['asked']:,} contradictions, {second['confirmed']:,} confirmed "
            f"({share:.1%}) by {second['questions']:,} "
            f"questions, {second['differences']} differences, {second['undecided']} undecided"
        )


def _values(values: dict[str, int]) -> str:
    if not values:
        return ""
    return "; " + ", ".join(f"{name} = {value}" for name, value in values.items())
