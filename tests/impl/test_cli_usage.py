"""What the command line refuses: in one line, with the code that says whose mistake it is."""

import json
import lzma
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from commands import TABLE, command, trace_of_reference

from writecache_impl.cli.app import writecache
from writecache_models.vectors import write_traces

HEADER: dict[str, Any] = trace_of_reference().header()
STEP = '{"op": ["flush"]}\n'
DEEP = json.loads("[" * 900 + "]" * 900)

CONFORM_MISTAKES: list[tuple[list[str], str]] = [
    (["--nosuch"], "No such option"),
    (["extra"], "unexpected extra argument"),
    (["--target", "sid"], "'sid' is neither 'reference' nor 'mmap' nor 'kernel:' and a name"),
    (["--target", "kernel:"], "neither"),
    (["--target", "kernel:nosuch"], "'nosuch' is no suite (bullseye, "),
    (["--target"], "requires an argument"),
    (["--seconds", "0"], "--seconds"),
    (["--seconds", "nan"], "nan is no time"),
    (["--seconds", "inf"], "--seconds"),
    (["--steps", "0"], "--steps"),
    (["--seed", "x" * 81], "--seed"),
    (["--seed", "a\nb"], "--seed"),
    (["--seed", ""], "--seed"),
    (["--seed", "\udcff"], "--seed"),
    (["--profile", "2.0"], "--profile"),
    (["--modules", "/nosuch", "--target", "kernel:bookworm"], "/nosuch"),
    (["--modules", "/tmp", "--target", "kernel:bookworm"], "a fetched one brings its own"),
    (["--modules", "/tmp"], "a fetched one brings its own"),
    (["--modules", "/tmp", "--target", "reference"], "a fetched one brings its own"),
    (["-o", "/nosuch"], "/nosuch: Not a directory"),
    (["-o", "/dev/null"], "/dev/null: Not a directory"),
    (["-o", "/proc"], "/proc"),
]
MISTAKES: list[tuple[list[str], str]] = [
    (["check", ""], "the path is empty"),
    (["size", ""], "it is empty"),
    (["repair", "/dev/null", "-o", "x", "--block-size", "0"], "0 is no power of two"),
    (["repair", "/dev/null", "-o", "x", "--block-size", "1000"], "1000 is no power of two"),
    (["findings", "fua-not-committed", "--reproduce", "nosuch"], "'nosuch' is no suite"),
    (["findings", "format-crash", "--reproduce", "nosuch"], "'nosuch' is no suite"),
    (["crash", "--target", "kernel:nosuch"], "'nosuch' is no suite"),
    (["nosuch"], "No such command 'nosuch'"),
    (["--nosuch"], "No such option"),
    (["vectors", "nosuch"], "No such command 'nosuch'"),
    (["vectors", "check", "--jobs", "0"], "--jobs"),
    (["vectors", "check", "/nosuch"], "/nosuch: No such file"),
    (["vectors", "check", "--store", "/nosuch/v"], "/nosuch/v: No such file"),
    (["vectors", "show", "/tmp"], "'/tmp' is a directory"),
    (["vectors", "coverage", "/nosuch"], "/nosuch: No such file"),
    (["vectors", "record", "-o", "v"], "'--kernel'"),
    (["vectors", "record", "--kernel", "bookworm"], "'--output'"),
    (["vectors", "record", "--kernel", "bookworm", "-o", "/nosuch/v"], "/nosuch/v: No such file"),
    (["vectors", "record", "--kernel", "bookworm", "-o", "v", "--family", "x"], "--family"),
    (["vectors", "record", "--kernel", "bookworm", "-o", "v", "--modules", "/tmp"], "its own"),
    (["kernel", "fetch", "nosuch"], "no suite named 'nosuch'"),
    (["kernel", "run", "bookworm"], "'SCRIPT'"),
    (["kernel", "run", "bookworm", "/nosuch"], "'/nosuch' does not exist"),
    (["kernel", "run", "bookworm", "/dev/null", "--origin-mib", "-1"], "'--origin-mib': -1"),
    (["kernel", "run", "bookworm", "/dev/null", "--cache-mib", "0"], "'--cache-mib': 0"),
    (["kernel", "run", "bookworm", "/dev/null", "--timeout", "nan"], "nan is no time"),
    (["kernel", "run", "bookworm", "/dev/null", "--modules", "/nosuch"], "/nosuch"),
    (["kernel", "run", "bookworm", "/dev/null", "--modules", "/tmp"], "brings its own"),
]


@pytest.mark.parametrize(("arguments", "says"), CONFORM_MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_is_refused_and_ends_a_bisection(arguments: list[str], says: str) -> None:
    done = command("conform", *arguments)
    assert done.is_refusal(2)
    assert says in done.err
    assert command("conform", "--bisect", *arguments).is_refusal(129)


@pytest.mark.parametrize(("arguments", "says"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_mistake_is_refused_in_a_line(arguments: list[str], says: str) -> None:
    done = command(*arguments)
    assert done.is_refusal(2)
    assert says in done.err


def test_a_usage_error_says_whose_help_to_ask() -> None:
    assert command("kernel", "run").err.endswith("(see writecache kernel run --help)\n")


def test_a_mistyped_command_ends_a_bisection_too() -> None:
    assert command("conforn", "--bisect").is_refusal(129)


def test_no_command_shows_the_help_and_is_a_mistake() -> None:
    for group in ([], ["vectors"], ["kernel"]):
        done = command(*group)
        assert (done.code, done.out) == (2, "")
        assert "Commands:" in done.err


@pytest.mark.parametrize(
    "words",
    [
        *("", "conform", "vectors", "kernel", "vectors check", "vectors record", "vectors show"),
        *("vectors coverage", "kernel fetch", "kernel list", "kernel run", "serve"),
    ],
)
def test_every_command_has_a_help(words: str) -> None:
    for option in ("-h", "--help"):
        done = command(*words.split(), option)
        assert (done.code, done.err) == (0, "")
        assert "Usage: writecache" in done.out
    assert ("--json" in done.out) == bool(
        re.search(r"JSON (object|array|Lines)", " ".join(done.out.split()))
    )


def test_the_help_documents_the_codes() -> None:
    text = " ".join(command("--help").out.split())
    assert "0 fine, 1 problems found, 2 usage or input, 3 could not be judged" in text
    assert "129 usage or input" in " ".join(command("conform", "--help").out.split())


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert command("--version").out == version("writecache-reference") + "\n"


def packed(*parts: bytes) -> bytes:
    return b"".join(map(lzma.compress, parts))


def header(**changes: object) -> bytes:
    return (json.dumps({**HEADER, **changes}) + "\n").encode()


GOOD = header() + STEP.encode()
FILES: dict[str, tuple[bytes, str]] = {
    "junk.xz": (packed(GOOD) + b"junk", "damaged xz file: something follows"),
    "cut.xz": (packed(GOOD)[:-9], "damaged xz file: it ends within a stream"),
    "empty.xz": (b"", "damaged xz file"),
    "empty": (b"", "no trace in it"),
    "blank": (b"\n \n", "no trace in it"),
    "header": (header(), "header:1: a trace without steps"),
    "steps": (STEP.encode(), "steps:1: a step before any header"),
    "binary": (bytes(range(256)), "binary:1: "),
    "elf": (Path(sys.executable).read_bytes()[:5000], "elf:"),
    "latin": (GOOD + b'{"op": ["message", "\xe9"]}\n', "latin:3: not UTF-8"),
    "cutline": (GOOD + STEP.encode()[:-4], "cutline:3: not JSON"),
    "deep": (header(x=DEEP) + STEP.encode(), "deep:1: nested deeper than 64"),
    "deepstep": (GOOD + b'{"op": ["flush"], "x": ' + b"[" * 900 + b"]" * 900 + b"}", "deepstep:3"),
    "square": (header(kernel="6.1²") + STEP.encode(), "square:1: kernel '6.1²'"),
    "number": (header()[:-2] + b', "n": ' + b"9" * 5000 + b"}\n", "number:1: a number of 5000"),
    "series": (header(kernel="6." + "9" * 5000) + STEP.encode(), "series:1: kernel"),
    "status": (GOOD + b'{"op": ["flush"], "status": "0 1 1 0 x"}\n', "status:3: status"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_faulty_file_is_refused_in_a_line_that_names_it(tmp_path: Path, name: str) -> None:
    content, says = FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    for words in (["check"], ["check", "--json"], ["show", "--json"]):
        done = command("vectors", *words, path)
        assert done.code == 2
        assert str(path) in done.err
        assert says in done.err
        assert len(done.err.splitlines()) == 1
        assert len(done.err) < len(str(path)) + 200


def test_a_number_of_thousands_of_digits_in_a_table_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = "0" * 5000
    table = TABLE.replace(" 4 a", f" 6 start_sector {zeros}8 a")
    trace = trace_of_reference(table=table)
    path = tmp_path / "v.jsonl"
    write_traces(path, [trace])
    done = command("vectors", "check", "--json", path)
    assert (done.code, done.json["steps"], done.err) == (0, len(trace.steps), "")


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["conform", "--bisect"], 129)])
def test_without_its_libraries_it_says_what_to_install(arguments: list[str], code: int) -> None:
    source = "import sys; sys.modules['rich'] = None; from writecache_impl.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stderr == (
        "writecache: the command line needs rich: pip install 'writecache-reference[cli]'\n"
    )


def test_a_mistake_of_the_program_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("writecache_impl.cli.showing.traces_in", lambda files: 1 / 0)
    done = command("vectors", "show")
    assert (done.code, done.err.splitlines()[-1]) == (3, "ZeroDivisionError: division by zero")


def test_commands_have_the_names_by_which_they_are_found() -> None:
    context = click.Context(writecache)
    for name in writecache.list_commands(context):
        found = writecache.get_command(context, name)
        assert found is not None
        assert found.name == name
    assert writecache.get_command(context, "nosuch") is None


@pytest.mark.parametrize(
    ("arguments", "needless"),
    [
        (["size", "--help"], "numpy z3 hypothesis writecache_impl.linux writecache_models"),
        (["check", "--help"], "numpy z3 hypothesis writecache_impl.linux"),
        (["conform", "--help"], "z3 hypothesis writecache_proofs"),
    ],
)
def test_a_command_imports_nothing_for_others(arguments: list[str], needless: str) -> None:
    source = (
        "import sys; from writecache_impl.cli.app import run; run(sys.argv[2:])\n"
        "print('met:', *(name for name in sys.argv[1].split() if name in sys.modules))"
    )
    line = [sys.executable, "-c", source, needless, *arguments]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "met:"
