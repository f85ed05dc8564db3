"""Numbers stay with their people."""

from hypothesis import given
from hypothesis import strategies as st

from mera_edge.features.face import Box
from mera_edge.stages.face_tracker import FORGOTTEN_AFTER_S, FaceTracker

LEFT, RIGHT = Box(0, 0, 100, 100), Box(300, 0, 80, 80)


def people(tracker: FaceTracker, boxes: list[Box], at_s: float) -> list[int]:
    return [track.person for track in tracker.update(boxes, at_s)]


def test_people_keep_their_numbers_in_any_order_and_while_they_move() -> None:
    tracker = FaceTracker()
    assert people(tracker, [LEFT, RIGHT], 0.0) == [1, 2]
    assert people(tracker, [RIGHT, LEFT], 0.1) == [2, 1]
    for step in range(20):
        assert people(tracker, [Box(20.0 * step, 0, 100, 100)], 0.2 + step / 10) == [1]


def test_track_survives_a_short_gap_only() -> None:
    tracker = FaceTracker()
    assert people(tracker, [LEFT], 0.0) == [1]
    assert people(tracker, [], 0.5) == []
    assert people(tracker, [LEFT], FORGOTTEN_AFTER_S) == [1]
    assert people(tracker, [LEFT], 2.1 * FORGOTTEN_AFTER_S) == [2]
    assert [track.person for track in tracker.tracks] == [2]


def test_track_follows_a_face_that_jumps_but_takes_nobody_for_another() -> None:
    tracker = FaceTracker()
    assert people(tracker, [LEFT], 0.0) == [1]
    assert people(tracker, [Box(190, 0, 90, 90)], 0.2) == [1]  # a step aside between two pictures
    assert people(tracker, [Box(1200, 0, 90, 90)], 0.4) == [2]  # too far
    tracker.reset()
    assert people(tracker, [LEFT], 0.0) == [1]
    assert people(tracker, [Box(110, 0, 40, 40)], 0.2) == [2]  # another size
    tracker.reset()
    assert people(tracker, [LEFT, RIGHT], 0.0) == [1, 2]
    assert people(tracker, [Box(110, 0, 100, 100), Box(110, 300, 90, 90)], 0.2) == [3, 4]  # either
    tracker.reset()
    assert people(tracker, [LEFT, RIGHT], 0.0) == [1, 2]
    assert people(tracker, [LEFT, Box(390, 0, 80, 80)], 0.2) == [1, 2]  # the other stays


def test_person_numbers_restart_after_a_reset() -> None:
    tracker = FaceTracker()
    people(tracker, [LEFT, RIGHT], 0.0)
    tracker.reset()
    assert people(tracker, [RIGHT], 0.0) == [1]


boxes = st.builds(Box, st.floats(0, 500), st.floats(0, 500), st.floats(10, 200), st.floats(10, 200))


@given(st.lists(st.lists(boxes, max_size=5), max_size=8))
def test_all_faces_in_one_picture_get_different_person_numbers(pictures: list[list[Box]]) -> None:
    tracker = FaceTracker()
    for number, found in enumerate(pictures):
        tracks = tracker.update(found, number * 0.3)
        assert [track.box for track in tracks] == found
        assert len({track.person for track in tracks}) == len(found)
