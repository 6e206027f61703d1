"""Where arrays lie: what around them can be read or written, which changes are seen, and what stays in place."""

import ctypes
import errno
import mmap
import os
from collections.abc import Iterator

import numpy as np
import pytest

from q35ref.oracle.foreign.memory import CANARY, GUARD, PAGE, SLACK, Room, Rooms, Side
from tests.oracle.foreign_memory import Probe, span

MIB16 = 16 << 20
"""What ``docs/kernels.md`` says is forbidden on either side."""


@pytest.fixture(name="probe")
def probe_memory() -> Iterator[Probe]:
    """Yield a probe."""
    probe = Probe()
    yield probe
    for end in probe.ends:
        os.close(end)


def put(address: int, value: int) -> None:
    """Write a byte."""
    ctypes.c_uint8.from_address(address).value = value


NEAR: list[Side] = ["", "moved", "odd"]

SIZES = [1, 4000, PAGE - 64, PAGE - 63, PAGE, PAGE + 1, 3 * PAGE - 1]


@pytest.mark.parametrize("size", SIZES)
def test_a_room_holds_arrays_up_to_its_size_with_slack_on_either_side(size: int, probe: Probe) -> None:
    """At every place that is not against a page, and at each of those that are, on one side."""
    room = Room(size)
    for side in NEAR:
        start, end = span(room.hold("u1", (size,), side))
        for address in (start - SLACK, start - 1, start, end - 1, end, end + SLACK - 1):
            assert probe.rights(address) == "rw"
    start, end = span(room.hold("u1", (size,), "after"))
    assert [probe.rights(at) for at in (start - SLACK, end - 1, end, end + MIB16 - 1)] == ["rw", "rw", "", ""]
    start, end = span(room.hold("u1", (size,), "before"))
    assert [probe.rights(at) for at in (start - MIB16, start - 1, start, end + SLACK - 1)] == ["", "", "rw", "rw"]


@pytest.mark.parametrize("size", SIZES)
def test_a_room_is_no_larger_than_it_need_be(size: int) -> None:
    """Whole pages for the slack and the array, and one for those that lie further on; and what is forbidden."""
    whole = len(Room(size)._memory) - 2 * MIB16
    assert whole % PAGE == 0
    assert 0 <= whole - PAGE - (size + 2 * SLACK) < PAGE
    assert SLACK == 4096


def test_what_is_forbidden_is_so_before_there_is_an_array(probe: Probe) -> None:
    room = Room(100)
    middle = len(room._memory) - MIB16
    places = (0, MIB16 - 1, MIB16, middle - 1, middle, len(room._memory) - 1)
    assert [probe.rights(room._base + at) for at in places] == ["", "", "rw", "rw", "", ""]
    assert GUARD % mmap.PAGESIZE == 0


@pytest.mark.parametrize("count", [1, 7, 16, 33])
def test_places_differ_as_their_names_say(count: int) -> None:
    """``odd`` as it is against the page after; ``moved`` a page further on; the others at a good address."""
    room = Room(4 * 33)
    (near, _), (moved, _), (odd, _), (after, _), (before, _), (wide, _) = (
        span(room.hold("f4", (count,), side)) for side in (*NEAR, "after", "before", "wide")
    )
    assert moved == near + PAGE
    assert wide == near
    assert near % PAGE == before % PAGE == 0
    assert near <= odd < near + 64
    assert odd % 64 == after % 64 == -4 * count % 64


def test_arrays_have_the_type_and_shape_that_is_asked_for() -> None:
    array = Room(24).hold("f4", (2, 3), "after")
    assert (array.dtype, array.shape) == (np.dtype("f4"), (2, 3))
    array[...] = 1.5
    assert array.tolist() == [[1.5, 1.5, 1.5], [1.5, 1.5, 1.5]]


def test_what_lies_around_an_array_is_known() -> None:
    """What is read beside it is always the same, whatever was there before."""
    room = Room(100)
    start, end = span(room.hold("u1", (100,), ""))
    for address in (start - 1, start - SLACK, end, end + SLACK - 1):
        put(address, 7)
    again, _ = span(room.hold("u1", (100,), ""))
    assert again == start
    assert room.damage() == ""
    assert CANARY == 0xC3
    assert ctypes.string_at(start - SLACK, SLACK) == SLACK * b"\xc3"
    assert ctypes.string_at(end, SLACK) == SLACK * b"\xc3"


@pytest.mark.parametrize("value", [0x00, 0xC2, 0xC4, 0xFF])
@pytest.mark.parametrize("side", NEAR)
def test_each_byte_that_is_changed_around_an_array_is_seen(value: int, side: Side) -> None:
    """The first and the last past its end; of those before its start the farthest. Those past its end come first."""
    room = Room(100)
    array = room.hold("u1", (100,), side)
    start, end = span(array)
    array[...] = value
    assert room.damage() == ""
    put(start - 2, value)
    assert room.damage() == "1 bytes up to 2 before its start"
    put(start - SLACK, value)
    assert room.damage() == f"2 bytes up to {SLACK} before its start"
    put(end, value)
    assert room.damage() == "1 bytes from 0 to 0 past its end"
    put(end + 3, value)
    put(end + SLACK - 1, value)
    assert room.damage() == f"3 bytes from 0 to {SLACK - 1} past its end"
    put(end, CANARY)
    assert room.damage() == f"2 bytes from 3 to {SLACK - 1} past its end"


def test_bytes_are_seen_that_are_written_far_away_if_no_page_is_forbidden() -> None:
    """To the ends of the room; and the pages are forbidden again for the next array."""
    room, probe = Room(100), Probe()
    start, end = span(room.hold("u1", (100,), "wide"))
    first, last = room._base, room._base + len(room._memory) - 1
    assert start - first > MIB16
    assert last - end > MIB16
    put(first, 1)
    assert room.damage() == f"1 bytes up to {start - first} before its start"
    put(last, 1)
    assert room.damage() == f"1 bytes from {last - end} to {last - end} past its end"
    room.hold("u1", (100,), "wide")
    assert room.damage() == ""
    room.hold("u1", (100,), "")
    assert [probe.rights(at) for at in (first, start, last)] == ["", "rw", ""]
    assert room.damage() == ""


def test_a_sealed_array_is_read_alone_until_the_next_is_held(probe: Probe) -> None:
    room = Room(100)
    array = room.hold("u1", (100,), "")
    array[...] = 5
    start, end = span(array)
    room.seal()
    assert [probe.rights(at) for at in (start - SLACK, start, end - 1, end + SLACK - 1)] == 4 * ["r"]
    assert array.tolist() == 100 * [5]
    assert room.damage() == ""
    room.seal(False)
    assert probe.rights(start) == "rw"
    room.seal()
    assert probe.rights(start) == "r"
    room.hold("u1", (100,), "")
    assert probe.rights(start) == "rw"


def test_pages_that_cannot_be_protected_are_an_error() -> None:
    with pytest.raises(OSError, match="mprotect") as caught:
        Room(1)._protect(1, 1, mmap.PROT_READ)
    assert caught.value.errno == errno.EINVAL


def test_arrays_of_a_name_lie_at_one_address_up_to_a_size_that_is_seldom_passed() -> None:
    """A kernel that keeps what it computed by address is caught so; the room grows if it must."""
    rooms = Rooms()
    start, _ = span(rooms.hold("a", "u1", (1,), ""))
    assert span(rooms.hold("a", "i4", (128, 128), ""))[0] == start
    larger, _ = span(rooms.hold("a", "u1", (65537,), ""))
    assert larger != start
    assert span(rooms.hold("a", "u1", (65537,), ""))[0] == larger
    assert span(rooms.hold("a", "u1", (5,), ""))[0] == larger
    assert span(rooms.hold("b", "u1", (5,), ""))[0] != larger


def test_a_room_is_large_enough_in_bytes(probe: Probe) -> None:
    """Also if it is the type that makes an array large."""
    rooms = Rooms()
    start, end = span(rooms.hold("a", "f4", (200, 100), "after"))
    assert [probe.rights(at) for at in (start - SLACK, start, end - 1, end)] == ["rw", "rw", "rw", ""]
    start, _ = span(rooms.hold("a", "f4", (200, 100), ""))
    assert span(rooms.hold("a", "f4", (100, 200), ""))[0] == start


def test_each_name_has_its_own_canaries_and_seal(probe: Probe) -> None:
    rooms = Rooms()
    (_, end), (other, _) = (span(rooms.hold(name, "u1", (9,), "")) for name in "ab")
    put(end, 0)
    assert (rooms.damage("a"), rooms.damage("b")) == ("1 bytes from 0 to 0 past its end", "")
    rooms.seal("a")
    assert (probe.rights(end), probe.rights(other)) == ("r", "rw")
