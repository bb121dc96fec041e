"""What people look at and keep: overlay pictures, plots, tables."""

from .grid import image_grid
from .overlay import overlay_montage, overlay_slice, preview_picture
from .plots import line_plot_svg
from .strips import Strip, strip_plot_svg
from .tables import json_ready, text_table, write_csv, write_json

__all__ = [
    "Strip",
    "image_grid",
    "json_ready",
    "line_plot_svg",
    "overlay_montage",
    "overlay_slice",
    "preview_picture",
    "strip_plot_svg",
    "text_table",
    "write_csv",
    "write_json",
]
