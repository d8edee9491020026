"""DSA: gradient matching with differentiable siamese augmentation.

Zhao & Bilen (2021), arXiv:2102.08259.

It is the algorithm of ``methods.dc`` with other defaults: it starts from real images, augments
the real and the synthetic batch of a class with the same draw, and augments each image with its
own draw when the network is trained on the set.
"""

from condensation.methods.dc import condense

__all__ = ["condense"]
