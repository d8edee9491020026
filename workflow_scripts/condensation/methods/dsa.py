"""DSA: gradient matching under differentiable siamese augmentation (Zhao & Bilen, 2021).

The algorithm of ``methods.dc`` with other defaults: real images to start from,
one drawn augmentation for the real and the synthetic batch of a class, and
augmented images, drawn apart, when the network is trained on the set.
"""

from condensation.methods.dc import condense

__all__ = ["condense"]
