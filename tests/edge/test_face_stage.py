"""Faces are found, followed, kept apart, smoothed and read. The faces are drawn."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from mera_edge.bundle import Bundle
from mera_edge.errors import BundleError, EngineError, InputError
from mera_edge.evaluation.role_evaluators import picture_of
from mera_edge.evidence import Evidence
from mera_edge.features.face import Box, Face, align, crop
from mera_edge.sources.base import VideoFrame
from mera_edge.stages.adapters.yunet import YuNet
from mera_edge.stages.face import CROP_BELOW, MOST_FACES, SMOOTHING_S, FaceSearch, FaceStage
from mera_edge.stages.face_detector import (
    SURE,
    FaceDetector,
    OnnxFaceDetector,
    face_detector,
    find_near,
    find_turned,
    without_repeats,
)
from mera_edge.stages.face_tracker import FORGOTTEN_AFTER_S

BACKGROUND = (120, 110, 100)


def face(side: int, mouth: tuple[int, int] = (12, 4)) -> np.ndarray:
    """Draw a face that a detector takes for one."""
    scale = 8
    image = np.full((100 * scale, 100 * scale, 3), BACKGROUND, np.uint8)

    def ellipse(x: float, y: float, wide: float, high: float, *colour: int) -> None:
        centre, axes = (int(x * scale), int(y * scale)), (int(wide * scale), int(high * scale))
        cv2.ellipse(image, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    ellipse(50, 50, 36, 48, 60, 50, 45)
    ellipse(50, 55, 31, 42, 150, 175, 215)
    for x in (37, 63):
        ellipse(x, 47, 9, 6, 105, 130, 170)
        ellipse(x, 47, 7, 3.5, 225, 230, 235)
        ellipse(x, 47, 3.2, 3.4, 40, 35, 30)
        ellipse(x, 39, 9, 2, 50, 50, 60)
    ellipse(50, 58, 3.5, 9, 170, 195, 235)
    ellipse(50, 66, 6, 2.5, 95, 120, 165)
    ellipse(50, 79, *mouth, 80, 80, 160)
    soft = cv2.GaussianBlur(image, (0, 0), 1.2 * scale)
    return cv2.resize(soft, (side, side), interpolation=cv2.INTER_AREA)


CLOSED, OPEN = (12, 3), (9, 8)


def scene(*faces: tuple[int, int, int], mouth: tuple[int, int] = (12, 4)) -> np.ndarray:
    """A room with faces at (x, y, side)."""
    return people(*((*face, mouth) for face in faces))


def people(*faces: tuple[int, int, int, tuple[int, int]]) -> np.ndarray:
    """A room with faces at (x, y, side), each with a mouth of its own."""
    image = np.full((480, 640, 3), BACKGROUND, np.uint8)
    for x, y, side, mouth in faces:
        image[y : y + side, x : x + side] = face(side, mouth)
    return image


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.open()


@pytest.fixture(scope="module")
def detector(bundle: Bundle) -> FaceDetector:
    return face_detector(bundle)


@pytest.fixture
def stage(bundle: Bundle) -> Iterator[FaceStage]:
    stage = FaceStage(bundle)
    yield stage
    stage.reset()


def test_faces_are_found_in_the_pixels_of_the_picture(detector: FaceDetector) -> None:
    found = detector.find(scene((60, 100, 180), (400, 200, 120)))
    assert len(found) == 2
    assert found[0].box.overlap(Box(60, 100, 180, 180)) > 0.6
    assert found[1].box.overlap(Box(400, 200, 120, 120)) > 0.6
    for each, (x, y, side) in zip(found, ((60, 100, 180), (400, 200, 120)), strict=True):
        eyes = np.array([[0.37, 0.47], [0.63, 0.47]]) * side + (x, y)
        assert np.abs(each.landmarks[:2] - eyes).max() < 0.08 * side
        assert abs(each.roll) < 0.15


@pytest.mark.parametrize("angle", [-30, 20, 40])
def test_a_head_that_is_turned_is_cut_out_upright(detector: FaceDetector, angle: float) -> None:
    upright = scene((200, 100, 220))
    turn = cv2.getRotationMatrix2D((310, 210), angle, 1)
    turned = cv2.warpAffine(upright, turn, (640, 480), borderValue=BACKGROUND)
    (one,), (other,) = detector.find(upright), detector.find(turned)
    assert other.roll - one.roll == pytest.approx(np.deg2rad(-angle), abs=0.2)
    crops = [align(image, 48, face) for image, face in ((upright, one), (turned, other))]
    likeness = np.corrcoef(crops[0].ravel(), crops[1].ravel())[0, 1]
    assert likeness > 0.6


@pytest.mark.parametrize("quarters", [1, 3])
def test_a_lying_person_is_read_like_a_sitting_person(stage: FaceStage, quarters: int) -> None:
    room = scene((250, 150, 160))
    (sits,) = stage.accept(VideoFrame(room, 0.0))
    stage.reset()
    lies = np.rot90(room, quarters)
    found = [stage.accept(VideoFrame(lies, number / 5)) for number in range(15)]
    assert all(found[10:]), "looked for within two seconds, and followed"
    assert {evidence.person for (evidence,) in filter(None, found)} == {1}
    (read,) = found[-1]
    assert read.probabilities.argmax() == sits.probabilities.argmax()
    # Whoever is upright comes first; and in their place as before.
    assert any(stage.accept(VideoFrame(room, 3 + number / 5)) for number in range(6))
    assert stage.accept(VideoFrame(room, 4.4)) and stage.accept(VideoFrame(room, 4.6))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_in_a_turned_picture_is_found_where_it_is(
    detector: FaceDetector, quarters: int
) -> None:
    turned = np.rot90(scene((400, 40, 160)), -quarters)
    (found,) = find_turned(detector, turned, quarters)
    (again,) = detector.find(np.ascontiguousarray(np.rot90(turned, quarters)))
    upright = align(np.ascontiguousarray(turned), 64, found)
    assert np.abs(upright - align(scene((400, 40, 160)), 64, again)).mean() < 4


def test_a_search_is_left_out_where_nothing_moves(
    stage: FaceStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[float] = []
    find = OnnxFaceDetector.find

    def noted(self: OnnxFaceDetector, image: np.ndarray, least: float = SURE) -> list[Face]:
        searched.append(now)
        return find(self, image, least)

    monkeypatch.setattr(OnnxFaceDetector, "find", noted)
    grain = np.random.default_rng(0)
    for step in range(1, 68):
        now = step / 5
        room = scene((200, 100, 200)) if now > 13 else scene()
        image = (room + grain.integers(-4, 5, room.shape)).clip(0, 255).astype(np.uint8)
        stage.accept(VideoFrame(image, now), FaceSearch(power_saving=True))
    # Then somebody is there, and is followed from picture to picture.
    # A room without faces is searched upright and turned.
    assert sorted(set(searched))[:4] == pytest.approx([0.2, 10.2, 13.2, 13.4], abs=0.01)


@pytest.mark.parametrize("enters_s", [0.3, 1.1, 4.0, 4.1, 4.3, 4.5, 4.7, 4.9])
def test_a_person_entering_a_still_room_is_found_in_power_saving_mode(
    stage: FaceStage, enters_s: float
) -> None:
    how = FaceSearch(every_s=1.0, power_saving=True)
    looked, seen_s = 0, 0.0
    for step in range(1, 40):
        now = step / 5
        if not stage.needs_frame(now, how):
            continue
        looked += now <= enters_s
        room = scene((200, 100, 200)) if now > enters_s else scene()
        if stage.accept(VideoFrame(room, now), how) and not seen_s:
            seen_s = now
    assert 0 < seen_s - enters_s < 1.6
    assert looked <= 3 + 2 * enters_s


def test_a_face_is_found_soon_after_something_begins_to_move(stage: FaceStage) -> None:
    how = FaceSearch(every_s=0.4, power_saving=True)
    looked, seen_s = [], 0.0
    for step in range(1, 40):
        now = step / 5
        if not stage.needs_frame(now, how):
            continue
        looked.append(now)
        room = scene((200, 100, 200)) if now > 4.7 else scene()
        if 4.1 < now <= 4.7:
            room[:, : round(400 * (now - 4.1))] = 255  # a door, say
        if stage.accept(VideoFrame(room, now), how) and not seen_s:
            seen_s = now
    assert seen_s == pytest.approx(4.8)
    assert np.diff([now for now in looked if now < 4.1]).min() > 0.3


def test_a_lone_face_may_be_read_less_often_but_not_one_of_several(stage: FaceStage) -> None:
    how = FaceSearch(every_s=1.0, power_saving=True)
    for step in range(1, 5):
        stage.accept(VideoFrame(scene((60 + step, 100, 180)), step / 5), how)
    assert stage.needs_frame(1.0, how)
    assert not stage.needs_frame(1.0, how, known=False)
    # Gone: looked for at once, not when it is due again.
    stage.accept(VideoFrame(scene(), 1.0), how)
    assert stage.needs_frame(1.2, how, known=False)
    stage.reset()
    for step in range(1, 5):
        stage.accept(VideoFrame(scene((60 + step, 100, 180), (380, 100, 150)), step / 5), how)
    assert stage.needs_frame(1.0, how, known=False)


def test_a_lost_face_is_searched_for_at_full_resolution(detector: FaceDetector) -> None:
    large = cv2.resize(scene((300, 200, 20)), (2560, 1920), interpolation=cv2.INTER_CUBIC)
    box = Box(1200, 800, 80, 80)
    assert detector.find(large) == []
    near = find_near(detector, large, box)
    assert near is not None
    assert near.box.overlap(box) > 0.5
    assert find_near(detector, np.full_like(large, 110), box) is None


def test_a_detection_inside_another_face_is_dropped() -> None:
    corners = np.array(
        [[[100, 100], [290, 290]], [[170, 140], [280, 250]], [[400, 100], [500, 200]]], float
    )
    found = without_repeats(corners, np.zeros((3, 5, 2)), np.array([0.9, 0.95, 0.8]))
    assert [round(face.box.x) for face in found] == [100, 400]


def test_lost_face_is_not_confused_with_its_neighbour(
    stage: FaceStage, detector: FaceDetector
) -> None:
    both = stage.accept(VideoFrame(scene((200, 150, 120), (290, 150, 120)), 0.0))
    assert len(both) == 2
    one = stage.accept(VideoFrame(scene((290, 150, 120)), 0.2))
    assert [evidence.person for evidence in one] == [both[1].person]
    beside = scene((290, 150, 120))
    (there,) = detector.find(beside)
    lost = Box(there.box.x - 90, there.box.y, there.box.width, there.box.height)
    assert find_near(detector, beside, lost) is not None
    assert find_near(detector, beside, lost, [there.box]) is None


def test_person_ids_are_stable_and_the_largest_face_comes_first(stage: FaceStage) -> None:
    first = stage.accept(VideoFrame(scene((60, 100, 120), (400, 150, 180)), 0.0))
    assert [evidence.person for evidence in first] == [1, 2]
    for step in range(1, 12):
        pictures = scene((60 + 6 * step, 100, 120), (400, 150, 180))
        evidence = stage.accept(VideoFrame(pictures, step / 10))
        assert [e.person for e in evidence] == [1, 2]
        assert all(e.captured_s == step / 10 and e.modality == "face" for e in evidence)


def test_the_speaker_comes_first_and_stays_so_in_silence(stage: FaceStage) -> None:
    first = []
    for step in range(40):
        speech = step % 20 < 15
        moving = OPEN if speech and step % 2 else CLOSED
        small, large = (moving, CLOSED) if step < 20 else (CLOSED, moving)
        sway = step % 5
        room = people((60 + sway, 100, 120, small), (400, 150 + sway, 180, large))
        first.append(stage.accept(VideoFrame(room, step / 5), speech=speech)[0].person)
    # Person 1 is the larger one, who is answered for until the smaller one is seen to speak.
    changes = [step for step in range(1, 40) if first[step] != first[step - 1]]
    assert [first[0], first[19], first[39]] == [1, 2, 1]
    assert len(changes) == 2
    assert changes[0] <= 4
    assert 20 < changes[1] <= 30


def test_chewing_person_is_not_the_active_speaker(stage: FaceStage) -> None:
    for step in range(40):
        speech = 10 <= step < 40
        chewing, speaking = (
            (OPEN if step % 2 else CLOSED),
            (OPEN if speech and step % 2 else CLOSED),
        )
        room = people((60, 100, 120, speaking), (400, 150, 180, chewing))
        seen = stage.accept(VideoFrame(room, step / 5), speech=speech)
    assert seen[0].person == 2


def test_without_speech_or_with_one_face_nothing_changes(stage: FaceStage) -> None:
    for step in range(10):
        moving = OPEN if step % 2 else CLOSED
        room = people((60, 100, 120, moving), (400, 150, 180, CLOSED))
        assert [e.person for e in stage.accept(VideoFrame(room, step / 5))] == [1, 2]
    stage.reset()
    for step in range(10):
        alone = people((60, 100, 120, CLOSED))
        assert [e.person for e in stage.accept(VideoFrame(alone, step / 5), speech=True)] == [1]


def test_evidence_is_well_formed(stage: FaceStage) -> None:
    (evidence,) = stage.accept(VideoFrame(scene((200, 100, 200)), 0.0))
    assert evidence.probabilities.shape == (7,)
    assert evidence.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert -1 <= evidence.valence <= 1
    assert 64 <= len(evidence.embedding) <= 128


def test_an_empty_room_gives_no_evidence_and_people_who_left_are_forgotten(
    stage: FaceStage,
) -> None:
    assert stage.accept(VideoFrame(scene(), 0.0)) == []
    assert stage.accept(VideoFrame(scene((200, 100, 200)), 1.0))[0].person == 1
    assert stage.accept(VideoFrame(scene(), 1.1)) == []
    back_s = 1.1 + FORGOTTEN_AFTER_S + 0.5
    assert stage.accept(VideoFrame(scene((200, 100, 200)), back_s))[0].person == 2
    stage.reset()
    assert stage.accept(VideoFrame(scene((200, 100, 200)), 0.0))[0].person == 1


@pytest.mark.parametrize("drift_px", [0, 3])
def test_a_face_that_keeps_as_still_as_a_photograph_is_not_read(
    stage: FaceStage, drift_px: int
) -> None:
    grain, read = np.random.default_rng(0), []
    for now in range(26):
        # The light changes and the camera is noisy. After 12 s whoever lives has moved a little.
        room = scene((200 + (drift_px if now >= 12 else 0), 100, 200)) * (1 - 0.1 * (now % 3))
        noisy = (room + grain.normal(0, 4, room.shape)).clip(0, 255).astype(np.uint8)
        read.append(bool(stage.accept(VideoFrame(noisy, float(now)))))
        assert stage.motionless == (not read[-1])
    assert read == [True] * 20 + [bool(drift_px)] * 6


def test_beside_a_photograph_only_the_person_is_read(stage: FaceStage) -> None:
    for now in range(25):
        seen = stage.accept(VideoFrame(scene((30, 40, 200), (330 + 5 * now, 40, 180)), float(now)))
    assert len(seen) == 1
    assert not stage.motionless
    (smiles,) = stage.accept(VideoFrame(scene((30, 40, 200), mouth=OPEN), 25.0))
    assert smiles.person != seen[0].person, "what moves again is read again"


def test_smoothing_delays_by_its_time_constant(bundle: Bundle) -> None:
    still, changed = scene((200, 100, 200)), scene((200, 100, 200), mouth=(6, 12))

    def alone(image: np.ndarray, at_s: float, stage: FaceStage) -> Evidence:
        (evidence,) = stage.accept(VideoFrame(image, at_s))
        return evidence

    before = alone(still, 0.0, FaceStage(bundle)).embedding
    after = alone(changed, 0.0, FaceStage(bundle)).embedding
    stage = FaceStage(bundle)
    alone(still, 0.0, stage)
    half = alone(changed, SMOOTHING_S, stage).embedding
    late = alone(changed, 8 * SMOOTHING_S, stage).embedding
    step = np.linalg.norm(after - before)
    assert step > 0
    assert np.linalg.norm(half - before) / step == pytest.approx(1 - np.exp(-1), abs=0.2)
    assert np.linalg.norm(late - after) / step < 0.2


def test_only_the_largest_faces_of_a_crowd_are_classified(stage: FaceStage) -> None:
    crowd = [(x, y, 110) for y in (30, 250) for x in (20, 220, 420)]
    assert len(stage.accept(VideoFrame(scene(*crowd), 0.0))) == MOST_FACES


@pytest.mark.parametrize("shape", [(1, 1), (2, 700), (700, 2), (30, 30), (2000, 3000)])
def test_pictures_of_any_shape_are_accepted(stage: FaceStage, shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    assert stage.accept(VideoFrame(image, 0.0)) == []
    alone = stage.cut_out(image)
    assert (alone is None) == (max(shape) >= CROP_BELOW)
    assert alone is None or stage.read(alone).probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_a_small_picture_is_a_crop_and_a_large_one_is_searched(stage: FaceStage) -> None:
    def read(image: np.ndarray) -> np.ndarray:
        found = stage.cut_out(image)
        assert found is not None
        return stage.read(found).embedding

    small, large = face(100), scene((200, 100, 200))
    np.testing.assert_allclose(read(small), stage.read(crop(small, 48)).embedding, atol=1e-6)
    found = face_detector(Bundle.open()).find(large)[0]
    np.testing.assert_allclose(
        read(large), stage.read(align(large, 48, found)).embedding, atol=1e-6
    )
    assert stage.cut_out(scene()) is None


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no more")
    for path in (broken, tmp_path / "missing.png", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            picture_of(str(path))


def test_a_file_that_is_no_detector_is_refused(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="cannot load the face detector"):
        YuNet(bundle.role("face").path())


def test_a_pulled_detector_is_used_by_its_name(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="models pull yunet"):
        FaceStage(Bundle.open(published={"face_detector": "yunet"}))
    with pytest.raises(InputError, match="for the role asr, not face_detector"):
        FaceStage(Bundle.open(published={"face_detector": "zipformer-en"}))


def test_a_bundle_for_other_features_is_refused(bundle: Bundle) -> None:
    entry = bundle.manifest.roles["face"].model_copy(update={"features": {"kind": "other"}})
    roles = {**bundle.manifest.roles, "face": entry}
    changed = Bundle(bundle.directory, bundle.manifest.model_copy(update={"roles": roles}))
    with pytest.raises(BundleError, match="different features"):
        FaceStage(changed)
