"""`vectors show --html`, `--json-states` and `findings --html`."""

import json
from pathlib import Path

import pytest
from commands import command

from writecache_impl.explorer import FILES, embedded, page
from writecache_models.fixtures import shipped_vectors
from writecache_models.trace_states.document import FORMAT, VERSION

SLEEPS = next(str(path) for path in shipped_vectors() if path.name == "sid-sleeps.jsonl.xz")
ONE = ("vectors", "show", "--trace", "sleeps-sleeps-0", SLEEPS)


def test_a_page_holds_what_the_data_says(tmp_path: Path) -> None:
    file = tmp_path / "t.html"
    done = command(*ONE, "--html", "-o", str(file))
    assert (done.code, done.out, done.err) == (0, "", "")
    states = command(*ONE, "--json-states")
    document = json.loads(states.out)
    assert (document["format"], document["version"]) == (FORMAT, VERSION)
    assert [trace["name"] for trace in document["traces"]] == ["sleeps-sleeps-0"]
    assert file.read_text() == page(document)
    assert embedded(document) in file.read_text()


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    text = page({"format": FORMAT})
    assert "http" not in text.replace("http-equiv", "")
    assert " src=" not in text
    assert "default-src 'none'" in text
    assert text.count("<script") == text.count("</script>") == 2
    assert len(FILES) == 3


def test_the_page_of_one_finding_and_of_all(tmp_path: Path) -> None:
    one = command("findings", "format-crash", "--html")
    assert one.code == 0
    assert one.out.startswith("<!DOCTYPE html>")
    assert '"name":"format-crash--repaired"' in one.out
    assert "run-over-duplicate" not in one.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("vectors", "show", "--html", "--json"), "only one of them"),
        (("vectors", "show", "--html"), "more than 24 traces"),
        (("vectors", "show", "--html", "--trace", "none", SLEEPS), "no trace is called none"),
        (("vectors", "show", "-o", "t.html", SLEEPS), "need --html or --json-states"),
        ((*ONE, "--html", "-o", "/nowhere/t.html"), "/nowhere/t.html: No such file"),
        ((*ONE, "--html", "-o", "/"), "directory"),
        (("findings", "--html", "--json"), "neither --json nor --reproduce"),
        (("findings", "-o", "t.html"), "-o needs --html"),
        (("findings", "--html", "-o", "/nowhere/t.html"), "/nowhere/t.html: No such file"),
    ],
)
def test_bad_input_is_said_in_a_line(arguments: tuple[str, ...], says: str) -> None:
    done = command(*arguments)
    assert (done.code, done.out) == (2, "")
    assert says in done.err
    assert done.err.count("\n") == 1


def test_a_step_that_cannot_be_played_leaves_no_file(tmp_path: Path) -> None:
    vector, output = tmp_path / "v.jsonl", tmp_path / "t.html"
    header = {
        "trace": "mine",
        "format": 1,
        "kernel": None,
        "target": None,
        "table": "s ORIGIN CACHE 4096 0",
        "cache_sectors": 64,
        "origin_sectors": 64,
    }
    vector.write_text(json.dumps(header) + '\n{"op": ["flush"]}\n')
    done = command("vectors", "show", "--html", str(vector), "-o", str(output))
    assert done.code == 2
    assert done.err == "writecache: mine: step 0: flush: there is no device\n"
    assert not output.exists()
