"""Pictures of every kind become the encoder's square, or a clear error."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.errors import InputError
from mera_edge.features.face import Box, Face, align, crop, cut, decode

GRADIENT = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (48, 1))
COLOUR = cv2.applyColorMap(GRADIENT, cv2.COLORMAP_OCEAN)


def encoded(image: np.ndarray, suffix: str = ".png") -> bytes:
    done, data = cv2.imencode(suffix, image)
    assert done
    return data.tobytes()


def test_colour_and_grey_files_keep_their_pixels() -> None:
    np.testing.assert_array_equal(decode(encoded(COLOUR), "x"), COLOUR)
    np.testing.assert_array_equal(decode(encoded(GRADIENT), "x")[..., 0], GRADIENT)


def test_transparent_files_show_their_colour() -> None:
    transparent = np.dstack([COLOUR, np.full(COLOUR.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(decode(encoded(transparent), "x"), COLOUR)


@pytest.mark.parametrize("brightest", [65535, 4095])
def test_deep_files_are_scaled_to_what_they_hold(brightest: int) -> None:
    deep = (GRADIENT.astype(np.float64) / 255 * brightest).astype(np.uint16)
    read = decode(encoded(deep), "x")
    assert read.dtype == np.uint8
    np.testing.assert_allclose(read[..., 0], GRADIENT, atol=1)


def test_files_that_are_no_pictures_are_named() -> None:
    for data in (b"", b"not a picture", encoded(COLOUR)[:20]):
        with pytest.raises(InputError, match=r"face\.png"):
            decode(data, "face.png")


def test_a_crop_of_the_right_size_is_left_alone() -> None:
    np.testing.assert_array_equal(crop(GRADIENT[:48, :48], 48), GRADIENT[:48, :48])


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (47, 49), (1000, 700)])
def test_images_of_any_shape_become_a_square_crop(shape: tuple[int, int]) -> None:
    face = crop(np.full((*shape, 3), 77, np.uint8), 48)
    assert face.shape == (48, 48) and face.dtype == np.float32
    np.testing.assert_allclose(face, 77, atol=1)


def upright(x: float, y: float, side: float) -> Face:
    """A face whose eyes and mouth are where the detector's training pictures have them."""
    points = np.array([(0.35, 0.4), (0.65, 0.4), (0.5, 0.57), (0.38, 0.75), (0.62, 0.75)])
    return Face(Box(x, y, side, side), (points * side + (x, y)).astype(np.float32), 0.9)


@pytest.mark.parametrize("side", [20, 48, 150, 600])
def test_an_upright_face_is_cut_out_where_it_is(side: int) -> None:
    image = np.zeros((800, 900, 3), np.uint8)
    image[100 : 100 + side, 200 : 200 + side] = 200
    face = align(image, 48, upright(200, 100, side))
    assert face.shape == (48, 48)
    np.testing.assert_allclose(face[2:-2, 2:-2], 200, atol=2)


@given(st.floats(-3, 3), st.floats(20, 300), st.floats(-200, 600), st.floats(-200, 600))
def test_a_face_anywhere_and_turned_any_way_gives_the_square(
    angle: float, side: float, x: float, y: float
) -> None:
    face = upright(x, y, side)
    centre = np.array([x + side / 2, y + side / 2], np.float32)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    turned = Face(face.box, (face.landmarks - centre) @ turn + centre, 0.9)
    assert np.cos(turned.roll - angle) > 0.99
    assert align(COLOUR, 48, turned).shape == (48, 48)


corners = st.floats(-500, 500, allow_nan=False)
sides = st.floats(0.1, 400, allow_nan=False)


@given(corners, corners, sides, sides)
def test_any_box_gives_pixels_of_its_size(x: float, y: float, width: float, height: float) -> None:
    part = cut(COLOUR, Box(x, y, width, height))
    assert abs(part.shape[1] - width) <= 1 and abs(part.shape[0] - height) <= 1
    assert set(np.unique(part)) <= set(np.unique(COLOUR))


@given(corners, corners, sides, sides, st.floats(0.2, 5))
def test_overlap_is_symmetric_and_bounded(
    x: float, y: float, width: float, height: float, factor: float
) -> None:
    box, other = Box(x, y, width, height), Box(0, 0, 100, 100)
    assert box.overlap(other) == pytest.approx(other.overlap(box))
    assert 0 <= box.overlap(other) <= 1 + 1e-9
    inner = min(factor, 1 / factor) ** 2
    assert box.overlap(box.grown(factor)) == pytest.approx(inner, rel=1e-4)
