"""Penalties on the slope of a critic; each is a scalar that is *minimised*, in float32 also under autocast.

Source: I. Gulrajani et al., *Improved Training of Wasserstein GANs*, NIPS 2017 (arXiv 1704.00028) and L. Mescheder
et al., *Which Training Methods for GANs do actually Converge?*, ICML 2018 (arXiv 1801.04406).

Both look at the slope of the critic's answer for *one* sample. A critic with batch normalisation answers for the batch:
its slope at a sample holds the influence on all other samples' answers, and the penalty bounds something else.
Penalised critics therefore use instance, layer, group or no normalisation (section 4 of the first paper).

The slope is differentiated again when the loss is. That works on plain modules only, never through a wrapper that
hooks into the backward pass (PyTorch's DDP).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Critic = Callable[..., Tensor]
"""One or several tensors ``(B, ...)`` to raw scores ``(B, ...)``, the samples independent of each other."""


def gradient_penalty(
    critic: Critic, real: tuple[Tensor, ...], fake: tuple[Tensor, ...], *, target: float = 1.0
) -> Tensor:
    """Mean squared distance of the critic's slope from `target`, halfway between real and fake samples.

    ``mean((||d critic(x) / d x|| - target) ** 2)`` at ``x = e real + (1 - e) fake`` with one ``e`` from U(0, 1) a
    sample, which all tensors of the sample share; the norm is over all of them together, for a critic of several
    arguments is one function of their concatenation. A tensor that real and fake have in common, such as the image of a
    pair, stays what it is, and its slope counts. Not weighted: the paper's factor is 10.

    Parameters
    ----------
    critic:
        Called once with as many tensors as `real` has. A critic of several scores a sample (patches) counts by their
        mean.
    real, fake:
        What the critic sees of references and of the generator, tensors ``(B, ...)`` of equal shapes; taken without
        their gradients, so that nothing reaches the generator.
    target:
        The slope at which the penalty is 0.

    Returns
    -------
    Tensor
        A float32 scalar with a gradient for the critic's parameters; where the caller has switched gradients off, its
        value alone.

    Raises
    ------
    ValueError
        No tensors, other numbers of them, or other shapes.
    """
    if not real or len(real) != len(fake) or any(a.shape != b.shape for a, b in zip(real, fake, strict=True)):
        raise ValueError("The critic's arguments for real and for fake samples differ in number or shape.")
    share = torch.rand(real[0].shape[0], device=real[0].device)
    between = tuple(
        torch.lerp(b.detach().float(), a.detach().float(), share.view(-1, *[1] * (a.dim() - 1)))
        for a, b in zip(real, fake, strict=True)
    )
    return (_slopes(critic, between).sqrt() - target).square().mean()


def r1_penalty(critic: Critic, real: tuple[Tensor, ...]) -> Tensor:
    """Mean squared slope of the critic at real samples, for adversarial losses that are not Wasserstein's.

    Parameters
    ----------
    critic, real:
        As in `gradient_penalty`. Not weighted: the paper's factor is ``gamma / 2`` with gamma 10.

    Returns
    -------
    Tensor
        A float32 scalar with a gradient for the critic's parameters.
    """
    return _slopes(critic, tuple(tensor.detach().float() for tensor in real)).mean()


TINY = 1e-12
"""Added to the squared slope: the derivative of a root is infinite at 0, where a critic that ignores its input is."""


def _slopes(critic: Critic, tensors: tuple[Tensor, ...]) -> Tensor:
    """Squared norm ``(B,)`` of the slope of each sample's mean score with respect to all its tensors."""
    kind = tensors[0].device.type
    with torch.enable_grad(), torch.autocast(kind, enabled=False):
        points = tuple(tensor.requires_grad_(True) for tensor in tensors)
        scores = critic(*points).float()
        total = scores.flatten(1).mean(dim=1).sum() if scores.dim() > 1 else scores.sum()
        slopes = torch.autograd.grad(total, points, create_graph=True, allow_unused=True)
        squares = [slope.flatten(1).square().sum(dim=1) for slope in slopes if slope is not None]
    return torch.stack(squares).sum(dim=0) + TINY
