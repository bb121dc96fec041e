"""GANSegmentation: organ segmentation of CT and MR volumes with GAN-trained generators, slice by slice.

The rooms of the library tell the way of a scan, in order: `volumes` (what a scan is), `slicing` (volume to
network-ready slices and back), `metrics`, `networks`, `models` (a trained network that a user can pick), `reports`,
`inference` (volumes and a model to a labelmap), `datasets`, `objectives`, `training`, and at the top `worker` (what
computes for the Slicer panel) and `cli` (the command ``ganseg``). A room imports only rooms below it. Importing this
package imports nothing else: torch is loaded by the rooms that compute.
"""

__version__ = "0.1.0"
