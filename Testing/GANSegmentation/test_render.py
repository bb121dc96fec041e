"""Slicer's own views show the segments where they are."""

from __future__ import annotations

import numpy as np
import pytest

from GANSegmentationLib.volumes import Geometry, Labelmap, Segment, Volume

LIVER = Segment(1, "Liver", (221, 130, 101))


@pytest.fixture
def pictures(application, scene, tmp_path):
    from GANSegmentationPanel import scene as border
    from PIL import Image

    from Testing.slicer_host.render import render_segmentation

    # Patient's right is low x in LPS; the organ is put there, and an axial view shows the right side on the left.
    z, y, x = np.mgrid[0:40, 0:96, 0:96]
    body = ((x - 48) / 42) ** 2 + ((y - 48) / 34) ** 2 < 1
    organ = ((x - 28) / 14) ** 2 + ((y - 44) / 16) ** 2 + ((z - 20) / 14) ** 2 < 1
    geometry = Geometry(size=(96, 96, 40), spacing=(2, 2, 4), origin=(-95, -95, -78))
    volume = Volume(np.where(organ, 110, np.where(body, 40, -1000)).astype(np.int16), geometry, "CT", "drawn")
    volume_node = border.addVolumeNode(volume)
    node = border.addLabelmapToSegmentation(Labelmap(organ.astype(np.uint8), geometry, (LIVER,)), volume_node)
    paths = render_segmentation(application.core, volume_node, node, tmp_path)
    return [np.asarray(Image.open(path).convert("RGB")).astype(int) for path in paths]


def reddish(picture):
    return (picture[..., 0] > picture[..., 2] + 30) & (picture[..., 0] > 100)


def test_the_slice_view_shows_the_segment_on_the_patients_right(pictures):
    rows, columns = np.nonzero(reddish(pictures[0]))
    assert len(rows) > 2000
    assert columns.mean() < 0.45 * pictures[0].shape[1]
    # Column 28 of 96 fills the view's width, so the organ's middle is expected at 28.5 / 96 of it.
    assert columns.mean() / pictures[0].shape[1] == pytest.approx(28.5 / 96, abs=0.02)
    assert rows.mean() / pictures[0].shape[0] == pytest.approx(44.5 / 96, abs=0.02)


def test_the_3d_view_shows_its_surface(pictures):
    assert reddish(pictures[1]).mean() > 0.02
