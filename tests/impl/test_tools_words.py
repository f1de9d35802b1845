"""`writecache size` and `explain`, LVM's cachevols, and what every tool's help has."""

import lzma
import re
import struct
import subprocess
from pathlib import Path

import pytest
from caches import FREE, cache, origin, write
from commands import command, program_line
from hypothesis import given
from hypothesis import strategies as st

from writecache_impl.cli.app import TOOLS
from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.explain import explain
from writecache_impl.tools.rescue import Holes
from writecache_impl.tools.size import size
from writecache_impl.tools.volumes import cachevols, parse_text
from writecache_spec.layout import calculate_memory_size


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_has_an_example(name: str) -> None:
    done = command(name, "--help")
    assert done.code == 0
    _, *examples = re.split("^  Examples?:", done.out, flags=re.MULTILINE)
    assert [f"writecache {name}" in example for example in examples] == [True]


def test_size_is_what_a_format_makes(tmp_path: Path) -> None:
    done = command("size", "1G", "--json")
    made = calculate_memory_size(2**30, 4096)
    assert isinstance(made, tuple)
    assert done.json["n_blocks"] == made.n_blocks
    assert done.json["memory_per_block"] == 88.0
    assert command("size", "1G", "--block-size", "512", "--pmem", "--plain-memory").code == 0
    path = write(tmp_path / "d", bytes(65536))
    assert command("size", path, "--json").json["device"] == 65536
    for bad in (["1G", "--block-size", "1000"], ["4096"], ["x"], ["1G", "--block-size", "0"],
                [str(2**63)], []):  # fmt: skip
        assert command("size", *bad).is_refusal()


@given(st.integers(2**16, 2**50), st.sampled_from([512, 4096, 65536]))
def test_size_adds_up(device: int, block_size: int) -> None:
    try:
        made = size(device, block_size)
    except ToolError:
        assert not isinstance(calculate_memory_size(device, block_size), tuple) or device > 2**45
        return
    assert made.metadata + made.data + made.unused == device
    assert made.unused >= 0


TABLE = "0 2048 writecache s 253:0 253:1 4096 2 max_age 5000"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (TABLE, "written back when it is 5000 ms old"),
        ("vg-lv: " + TABLE, "253:1, an SSD, caches writes to 253:0"),
        ("s a b 4096 2 start_sector 8", "begins at its sector 8"),
        ("p a b 4096 1 nofua", "persistent memory"),
        ("s a b 4096 1 cleaner", "the cache can be removed"),
        ("s a b 4096 1 metadata_only", "do not know all"),
        ("s a b 4096 0", "without max_age"),
        ("0 2048 writecache 0 63 63 0", "can do without"),
        ("0 2048 writecache 0 63 0 2", "the cache is full"),
        ("0 63 60 3 10 5 20 1 2 3 4 5 6 7", "50.0 % of the blocks read"),
        ("0 63 60 3 10 5 20 1 2 3 4 5 6 7", "5 requests waited"),
    ],
)
def test_lines_are_explained(line: str, words: str) -> None:
    done = command("explain", *line.split())
    assert done.code == 0
    assert words in done.out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 2048 writecache 1 63 0 0", "do not remove the cache"),
        ("s a b 4096 1 nosuch", "Invalid optional argument"),
        ("s a b 1000 0", "Invalid block size"),
    ],
)
def test_trouble_is_told(line: str, words: str) -> None:
    done = command("explain", line, "--json")
    assert done.code == 1
    assert words in done.out


@pytest.mark.parametrize(
    "line",
    ["", " ", "0 1", "0 1 2", "0 1 2 3 4", "0 4 5 0", "0 2048 linear 8:0 0", "\0", "-1 -2 -3 -4"],
)
def test_what_is_no_line_is_refused(line: str) -> None:
    assert command("explain", line).is_refusal()


@given(st.text())
def test_any_line_is_explained_or_refused(line: str) -> None:
    try:
        assert explain(line).sentences
    except ToolError:
        return


def test_lines_come_from_the_input() -> None:
    text = f"root: 0 1 linear 8:0 0\nlv: {TABLE}\n\n"
    done = subprocess.run(
        program_line("explain"), input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "linear" not in done.stdout
    assert "5000 ms" in done.stdout


EXTENT = 8192
PE_START = 16384


def physical_volume(volumes: str) -> bytes:
    """The first extents of a physical volume of a group with these logical volumes."""
    text = (
        'vg {\nid = "x"\nextent_size = 16 # 8 Kilobytes\n'
        "physical_volumes {\npv0 {\npe_start = 32\n}\n}\n"
        f'logical_volumes {{\n{volumes}}}\n}}\ncontents = "Text Format Volume Group"\n\0'
    ).encode()
    label = b"LABELONE" + struct.pack("<QII", 1, 0, 32) + b"LVM2 001"
    header = b"u" * 32 + struct.pack("<Q", 2**20)
    areas = struct.pack("<QQQQ", PE_START, 0, 0, 0) + struct.pack("<QQQQ", 4096, 8192, 0, 0)
    area = bytes(4) + b" LVM2 x[5A%r0N*>" + struct.pack("<IQQ", 1, 4096, 8192)
    # The text begins near the end of the ring and goes on behind its header.
    at = 8192 - 100
    area += struct.pack("<QQII", at, len(text), 0, 0)
    ring = bytearray(area.ljust(8192, b"\0"))
    ring[at:] = text[:100]
    ring[512 : 512 + len(text) - 100] = text[100:]
    whole = bytearray(PE_START)
    whole[512 : 512 + len(label + header + areas)] = label + header + areas
    whole[4096 : 4096 + 8192] = ring
    return bytes(whole)


def logical_volume(name: str, flags: str, pieces: list[int]) -> str:
    segments = "".join(
        f'segment{number} {{\nextent_count = 2\ntype = "striped"\nstripes = ["pv0", {first}]\n}}\n'
        for number, first in enumerate(pieces, 1)
    )
    return f"{name} {{\nflags = [{flags}]\nsegment_count = {len(pieces)}\n{segments}}}\n"


def test_a_cachevol_is_found_in_a_physical_volume(tmp_path: Path) -> None:
    volumes = logical_volume("data", "", [0]) + logical_volume("fast_cvol", '"CACHE_VOL"', [3])
    image = physical_volume(volumes).ljust(PE_START + 3 * EXTENT, b"\1") + cache([(0, 3), FREE])
    path = write(tmp_path / "pv", image)
    found = command("check", path, "--json")
    assert (found.code, found.json["geometry"]["offset"]) == (0, PE_START + 3 * EXTENT)
    slow = write(tmp_path / "o", origin(8))
    assert command("writeback", path, "--origin", slow, "-q").code == 0
    assert slow.read_bytes()[:7] == b"block 0"


@pytest.mark.parametrize(
    "volumes",
    [
        "",
        logical_volume("data", "", [0]),
        logical_volume("a_cvol", '"CACHE_VOL"', [0, 4]),
        logical_volume("a", '"CACHE_VOL"', [0]) + logical_volume("b", '"CACHE_VOL"', [2]),
        "a {",
        "a = ",
        "} } {",
        "a { b { " * 100,
    ],
)
def test_a_physical_volume_without_one_cachevol_is_refused(tmp_path: Path, volumes: str) -> None:
    path = write(tmp_path / "pv", physical_volume(volumes).ljust(65536, b"\0"))
    assert "--offset" in command("check", path).err
    assert command("check", path, "--offset", "16k").code == 1


@given(st.text('ab={}[]",# \n\\1', max_size=60))
def test_any_text_of_lvm_is_read_or_refused(text: str) -> None:
    try:
        parse_text(text)
        cachevols(text)
    except ToolError:
        return


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 9))),
    st.integers(0, 50),
    st.integers(0, 50),
)
def test_holes_are_their_bytes(ranges: list[tuple[int, int]], start: int, length: int) -> None:
    holes = Holes([(first, first + size) for first, size in ranges])
    whole = {byte for first, size in ranges for byte in range(first, first + size)}
    found = [
        byte for first, end in holes.within(start, start + length) for byte in range(first, end)
    ]
    assert found == sorted(whole & set(range(start, start + length)))
    assert holes.size == len(whole)


def test_a_cachevol_that_lvm_made_is_found(tmp_path: Path) -> None:
    """LVM 2.03.16 on bookworm's user-mode kernel: vgcreate -s 64k, a pad of 40 extents, lvconvert
    --type writecache --cachevol; then a block at byte 8192 was written and synced.
    """
    packed = Path(__file__).with_name("lvm-cachevol.img.xz")
    path = write(tmp_path / "pv", lzma.decompress(packed.read_bytes()))
    found = command("check", path, "--json").json
    assert found["geometry"]["offset"] == 2**20 + 40 * 65536
    assert found["stale"]["extents"] == [[16, 8]]
    slow = write(tmp_path / "o", bytes(2**16))
    assert command("writeback", path, "--origin", slow, "-q").code == 0
    assert slow.read_bytes()[8192:8206] == b"hello from lvm"
