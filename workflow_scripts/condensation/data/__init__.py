"""Real images and condensed sets as tensors."""
