"""What networks learn and from which loss: one adversarial idea one file. The training loop runs any of them."""

from .base import Batch, Networks, Objective, Phase, Shared, Terms
from .registry import build, names

__all__ = ["Batch", "Networks", "Objective", "Phase", "Shared", "Terms", "build", "names"]
