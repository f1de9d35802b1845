"""Programs that speak the line protocol: right ones, wrong ones, and those that speak none."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from shlex import quote

import pytest
from commands import Done, command, heeds_signals, processes_naming, program_line

from writecache_models.vectors import read_traces

EXAMPLES = Path(__file__).parents[2] / "examples"
PYTHON_TARGET = f"{sys.executable} {EXAMPLES / 'target_python' / 'target.py'}"
BUGS = ("order", "flush", "fua", "read", "image")
HELLO = '{"level": 1, "can": []}'


@pytest.fixture(scope="module")
def c_target(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("c") / "target_c"
    shutil.copytree(EXAMPLES / "target_c", folder)
    subprocess.run(["make", "-B", "-C", folder, "CFLAGS=-O1 -g -Wall -Wextra -Werror -std=c11 "
                    "-fsanitize=undefined -fno-sanitize-recover"],
                   check=True, capture_output=True)  # fmt: skip
    return str(folder / "target")


def conform(target: str, *options: object, folder: Path) -> Done:
    return command("conform", "--target", f"cmd:{target}", "--seed", "7", "-o", folder, *options)


def program(folder: Path, body: str) -> str:
    """A program that answers `hello` and `new`, and then does what `body` says to a `line`."""
    file = folder / "target.py"
    file.write_text(
        f"import os, sys, time\nfor line in sys.stdin:\n"
        f"    if line.startswith('[\"hello'): print('{HELLO}', flush=True)\n"
        f"    elif line.startswith('[\"new'): print('{{}}', flush=True)\n"
        f"    else:\n        {body}\n"
    )
    return f"{sys.executable} {file}"


def test_the_c_target_keeps_the_contract_and_exchanges_images(
    c_target: str, tmp_path: Path
) -> None:
    done = conform(c_target, "--seconds", 30, "--json", folder=tmp_path)
    assert done.code == 0, done.err
    judged = done.json
    assert judged["level"] == 2
    assert judged["violation"] is None
    assert judged["steps"] > 3000
    assert judged["crashes"] > judged["traces"]
    assert judged["images"] > judged["traces"]
    assert judged["own_ms_a_step"] < 1


def test_the_python_target_does_too(tmp_path: Path) -> None:
    done = conform(PYTHON_TARGET, "--seconds", 20, "--json", folder=tmp_path)
    assert done.code == 0, done.err
    assert done.json["steps"] > 300
    assert {"discard", "zeroes"} <= set(done.json["can"])


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_planted_in_c_is_found_shrunk_and_played_again(
    c_target: str, bug: str, tmp_path: Path
) -> None:
    is_found(f"{c_target} --plant-bug {bug}", tmp_path)
    (kept,) = tmp_path.glob("*.jsonl")
    assert command("vectors", "check", "--target", f"cmd:{c_target}", kept).code == 0


@pytest.mark.parametrize("bug", [*BUGS, "discard"])
def test_a_bug_planted_in_python_is_found(bug: str, tmp_path: Path) -> None:
    is_found(f"{PYTHON_TARGET} --plant-bug {bug}", tmp_path)


def is_found(target: str, folder: Path) -> None:
    done = conform(target, "--seconds", 60, folder=folder)
    assert done.code == 1
    (kept,) = folder.glob("*.jsonl")
    (trace,) = read_traces(kept)
    assert len(trace.steps) <= 12
    assert re.search(r"shrunk:\nstory-7-\d+: step \d+: ", done.err)
    again = command("vectors", "check", "--target", f"cmd:{target}", kept)
    assert again.code == 1
    assert command(*shlex.split(done.err.splitlines()[-1])[1:]).code == 1
    assert trace.steps[-1][1]["violation"] in again.err


def test_kernels_vectors_are_played_and_judging_costs_less_than_a_millisecond(
    c_target: str,
) -> None:
    done = command("vectors", "check", "--target", f"cmd:{c_target}", "--json")
    assert done.code == 0
    assert done.json["steps"] > 20_000
    assert done.json["own_ms_a_step"] < 1
    assert sum(done.json["not_asked"].values()) < done.json["traces"] * 2


BAD = [
    ("sys.exit(3)", "the program ends with exit code 3"),
    ("print('lost', file=sys.stderr); sys.exit(3)", 'exit code 3 on ["open", "s ORIGIN'),
    ("os.kill(os.getpid(), 11)", "is ended by SIGSEGV"),
    ("time.sleep(100)", 'no reply to ["open"'),
    ("sys.stdout.close(); os.close(1); time.sleep(100)", "closes its output"),
    ("print('nonsense', flush=True)", "not JSON"),
    ("print('[1]', flush=True)", "not an object"),
    ("print('[' * 3000, flush=True)", "nested deeper"),
    ("sys.stdout.buffer.write(b'\\xff\\n'); sys.stdout.flush()", "is not UTF-8"),
    ("sys.stdout.write('x' * 2**27); sys.stdout.flush()", "is longer than"),
    ("print('{}\\n{}', flush=True)", "says something unasked"),
    ('print(\'{"errno": "ENOSUCH"}\', flush=True)', "an errno that is none"),
    ('print(\'{"errno": "EIO"}\', flush=True)', "open fails though no disk does: EIO"),
    ('print(\'{"data": "00"}\', flush=True)', "is not"),
    ('print(\'{"data": "zz"}\', flush=True)', "is not"),
    ("print('{\"data\": 5}', flush=True)", "has no text 'data'"),
    ("print('{}', flush=True)", "has no text 'data'"),
]


@pytest.mark.parametrize(("body", "says"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_a_program_that_misbehaves_is_a_line_and_no_traceback(
    body: str, says: str, tmp_path: Path
) -> None:
    target = program(tmp_path, body)
    done = conform(target, "--op-seconds", 1, "--seconds", 5, folder=tmp_path)
    assert done.code == 1, done.err
    assert says in done.err
    assert "Traceback" not in done.err
    assert max(map(len, done.err.splitlines())) < 1000
    assert list(tmp_path.glob("violation-*.jsonl"))
    assert not processes_naming(str(tmp_path))


@pytest.mark.parametrize(
    ("body", "says"),
    [('print(\'{"data": "00"}\', flush=True)', " is not "), ("sys.exit(3)", "exit code 3")],
)
def test_a_kept_violation_says_what_it_is_and_how_to_play_it(
    body: str, says: str, tmp_path: Path
) -> None:
    target = program(tmp_path, body)
    assert conform(target, "--seconds", 5, folder=tmp_path).code == 1
    (kept,) = tmp_path.glob("violation-*.jsonl")
    shown = command("vectors", "show", kept)
    words = " ".join(shown.out.split())
    assert shown.code == 0
    assert f", a kept violation of target cmd:{target}".replace(" ", "") in words.replace(" ", "")
    assert "None" not in words
    (last,) = [line for line in shown.out.splitlines() if line.startswith("violation: ")]
    assert says in last
    checked = command("vectors", "check", kept)
    assert checked.code == 2
    hint = f"a kept violation, and no recorded trace: --target {quote(f'cmd:{target}')} plays it"
    assert hint in checked.err
    again = command("vectors", "check", "--target", f"cmd:{target}", kept)
    assert (again.code, says in again.err) == (1, True)


def test_a_violation_kept_without_its_targets_name_is_known_by_its_step(tmp_path: Path) -> None:
    header = {"trace": "old", "format": 1, "kernel": None, "target": None, "cache_sectors": 64,
              "origin_sectors": 64, "table": "s ORIGIN CACHE 4096 0"}  # fmt: skip
    file = tmp_path / "v.jsonl"
    step = {"op": ["open"], "violation": "it burns"}
    file.write_text("".join(json.dumps(line) + "\n" for line in (header, step)))
    shown = " ".join(command("vectors", "show", file).out.split())
    assert "a kept violation of an unnamed target" in shown
    assert "violation it burns" in shown
    checked = command("vectors", "check", file)
    assert (checked.code, "--target TARGET plays it again" in checked.err) == (2, True)
    file.write_text("".join(json.dumps(line) + "\n" for line in (header, {"op": ["open"]})))
    assert ", not recorded" in " ".join(command("vectors", "show", file).out.split())
    checked = command("vectors", "check", file)
    assert (checked.code, "the trace has not been recorded" in checked.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "says"), [("", "no program is named"), ("'", "No closing quotation")]
)
def test_what_names_no_program_is_a_faulty_input(words: str, says: str, tmp_path: Path) -> None:
    done = conform(words, folder=tmp_path)
    assert done.code == 2
    assert says in done.err.splitlines()[-1]


UNFIT = [
    ("/nosuch/program", "No such file"),
    ("/dev/null", "Permission denied"),
    ("cat", "not an object"),
    ("true", "the program ends with exit code 0 on [\"hello\", 1]"),
    ("sleep 60", "no reply to [\"hello\", 1]"),
    ("HELLO {}", "level None"),
    ("HELLO {\"level\": 9}", "it claims level 9"),
    ("HELLO {\"level\": 1, \"can\": [\"fly\"]}", "of which is known"),
    ("HELLO {\"level\": 1, \"can\": 5}", "of which is known"),
    ("HELLO {\"level\": 2, \"can\": []}", "level 2, and so it must say that it can snapshot"),
    ("HELLO {\"level\": 3, \"can\": [\"snapshot\"]}", "so it must say that it can status"),
    ("HELLO {\"level\": 1, \"can\": [\"crash-within\"]}", "must say that it can crash"),
    ("HELLO {\"level\": 1, \"profile\": \"9\"}", "its profile '9' is none of"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "says"), UNFIT, ids=[str(n) for n in range(len(UNFIT))])
def test_what_is_no_target_is_not_judged(target: str, says: str, tmp_path: Path) -> None:
    if target.startswith("HELLO "):
        said = "read line; echo " + quote(target.removeprefix("HELLO "))
        target = f"sh -c {quote(said)}"
    done = conform(target, "--op-seconds", 1, folder=tmp_path)
    assert done.code == 3
    assert says in done.err
    assert done.err.splitlines()[-1].startswith("writecache: ")
    assert conform(target, "--op-seconds", 1, "--bisect", folder=tmp_path).code == 125


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("what", ["conform", "vectors"])
def test_a_signal_leaves_no_program_and_no_file(what: str, number: int, tmp_path: Path) -> None:
    # The program says where its devices are, and hangs.
    target = program(tmp_path, "time.sleep(100)")
    said = tmp_path / "said"
    file = tmp_path / "target.py"
    keeps = f"open({str(said)!r}, 'w').write(line); print('{{}}', flush=True)"
    file.write_text(file.read_text().replace("print('{}', flush=True)", keeps))
    words = ["conform", "--seconds", "60"] if what == "conform" else ["vectors", "check"]
    line = program_line(*words, "--target", f"cmd:{target}")
    process = subprocess.Popen(
        line, stderr=subprocess.PIPE, text=True, cwd=tmp_path, preexec_fn=heeds_signals
    )
    try:
        while not (said.exists() and said.read_text().endswith("\n")):
            assert process.poll() is None
            time.sleep(0.02)
        devices = Path(json.loads(said.read_text())[1]).parent
        assert devices.is_dir()
        process.send_signal(number)
        _, complaint = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number
    assert "Traceback" not in complaint
    assert not devices.exists()
    assert not processes_naming(str(tmp_path))


def test_a_programs_path_without_its_scheme_is_told_how_to_be_named(tmp_path: Path) -> None:
    target = program(tmp_path, "pass").split()[1]
    for words in (["conform"], ["vectors", "check"]):
        done = command(*words, "--target", target)
        assert done.is_refusal(2)
        assert f"a program is named cmd:{target}" in done.err
    said = command("conform", "--target", f"{Path(sys.executable).name} {target}").err
    assert f"a program is named 'cmd:{Path(sys.executable).name} {target}'" in said
    assert "a program is named" not in command("conform", "--target", "nosuch:x").err


def test_what_a_target_claims_and_nothing_asks_for_is_said(tmp_path: Path) -> None:
    hello = '{"level": 1, "can": ["status", "log", "sleep", "discard"]}'
    lines = "import sys\nfor line in sys.stdin: print('{}' if 'hello' not in line else " \
            f"{hello!r}, flush=True)\n"  # fmt: skip
    (tmp_path / "target.py").write_text(lines)
    done = conform(f"{sys.executable} {tmp_path / 'target.py'}", "--seconds", 5, folder=tmp_path)
    assert "not judged either, for nothing asked for it: discard, log, sleep, status" in done.out


def test_options_of_kernels_are_refused(tmp_path: Path) -> None:
    for option in (["--errors"], ["--crash"], ["--io-order"], ["--profile", "1.6.0"]):
        assert conform("true", *option, folder=tmp_path).is_refusal(2)
    assert command("conform", "--target", "cmd:true", "--target", "reference").is_refusal(2)
    assert command("vectors", "check", "--target", "nosuch:x").is_refusal(2)
    assert command("vectors", "check", "--target", "cmd:true", "--store").is_refusal(2)


def test_the_engine_is_a_target_of_level_3() -> None:
    vectors = Path(__file__).parents[1] / "vectors" / "sid.jsonl.xz"
    done = command("vectors", "check", "--target", "mmap", vectors, "--json")
    assert done.code == 0, done.err
    judged = done.json
    assert judged["level"] == 3
    assert judged["steps"] > 4000
    own = [judged["own_ms_a_step"]]
    while own[-1] >= 1 and len(own) < 3:
        # Of a processor; but what else runs on it takes its caches.
        done = command("vectors", "check", "--target", "mmap", vectors, "--json")
        own.append(done.json["own_ms_a_step"])
    assert own[-1] < 1, own


def test_the_program_on_the_page_is_right_and_without_its_crash_it_is_found_out(
    tmp_path: Path,
) -> None:
    page = (EXAMPLES.parent / "docs" / "line-protocol.md").read_text()
    code = page.partition("```python\n")[2].partition("```")[0]
    file = tmp_path / "first.py"
    file.write_text(code)
    done = conform(f"{sys.executable} {file}", "--steps", 2000, folder=tmp_path)
    assert done.code == 0, done.err
    file.write_text(code.replace("durable = bytes(now)\n    elif", "pass\n    elif"))
    done = conform(f"{sys.executable} {file}", "--steps", 2000, folder=tmp_path)
    assert done.code == 1
