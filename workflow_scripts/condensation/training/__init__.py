"""Training networks on real and condensed sets, and testing them."""
