"""What a scan is: its grid, its voxels, its labels, and the files they come from and go to."""

from .dicom import SeriesInfo, find_series, list_series, read_series
from .dicom_choice import RULE_HELP
from .dicom_seg import Algorithm, SegChoice, read_dicom_seg, write_dicom_seg, write_fractional_seg
from .dicom_tilt import TILT_FACT
from .geometry import LPS_TO_RAS, Geometry
from .grids import place_on_grid
from .labelmap import Labelmap
from .labelmap_files import LABELMAP_SUFFIXES, read_labelmap, require_writable, write_labelmap
from .scans import read_volume, write_volume
from .segment_table import format_segment_table, parse_segment_table, read_segment_table, write_segment_table
from .segments import Code, Segment
from .slicer_segmentation import serialise_terminology
from .volume import Volume

__all__ = [
    "LABELMAP_SUFFIXES",
    "LPS_TO_RAS",
    "RULE_HELP",
    "TILT_FACT",
    "Algorithm",
    "Code",
    "Geometry",
    "Labelmap",
    "SegChoice",
    "Segment",
    "SeriesInfo",
    "Volume",
    "find_series",
    "format_segment_table",
    "list_series",
    "parse_segment_table",
    "place_on_grid",
    "read_dicom_seg",
    "read_labelmap",
    "read_segment_table",
    "read_series",
    "read_volume",
    "require_writable",
    "serialise_terminology",
    "write_dicom_seg",
    "write_fractional_seg",
    "write_labelmap",
    "write_segment_table",
    "write_volume",
]
