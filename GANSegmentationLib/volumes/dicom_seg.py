"""DICOM Segmentation: the mask as it goes back to the hospital's archive, next to the scan that it belongs to."""

from __future__ import annotations

from .dicom_seg_read import SegChoice, is_dicom, is_segmentation, read_dicom_seg
from .dicom_seg_segments import Algorithm
from .dicom_seg_source import Source
from .dicom_seg_write import SUFFIX, require_dicom_seg, write_dicom_seg, write_fractional_seg

__all__ = [
    "SUFFIX",
    "Algorithm",
    "SegChoice",
    "Source",
    "is_dicom",
    "is_segmentation",
    "read_dicom_seg",
    "require_dicom_seg",
    "write_dicom_seg",
    "write_fractional_seg",
]
