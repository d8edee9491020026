"""How hard real images are to learn: forgetting events and EL2N, from one training.

Forgetting events (Toneva et al., 2019, arXiv:1812.05159): how often training showed an image that
it had classified rightly before, and now does not. EL2N (Paul, Ganguli & Dziugaite, 2021,
arXiv:2107.07075): the length of the vector of errors, softmax minus one-hot label.
"""

import torch
import torch.nn.functional as F


class Forgetting:
    """Counts forgetting events while ``fitting.fit`` trains one network; its ``watch``.

    Parameters
    ----------
    labels : int64 [images], on the device of the training.
    """

    def __init__(self, labels: torch.Tensor):
        self.labels = labels
        self._right = torch.zeros(len(labels), dtype=torch.bool, device=labels.device)
        self._learned = self._right.clone()
        self._events = torch.zeros(len(labels), device=labels.device)

    def __call__(self, positions: torch.Tensor, logits: torch.Tensor) -> None:
        """Compare the predictions [1, n, classes] for positions [1, n] with those before."""
        shown = positions[0]
        right = logits[0].argmax(1) == self.labels[shown]
        self._events[shown] += self._right[shown] & ~right
        self._learned[shown] |= right
        self._right[shown] = right

    def events(self) -> torch.Tensor:
        """Return the events of each image, float32 [images]; infinity if it was never right."""
        return self._events.masked_fill(~self._learned, torch.inf).cpu()


def el2n(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the length of the error of each image, float32 [images], from 0 to sqrt(2).

    Parameters
    ----------
    logits : float32 [images, classes]; labels : int64 [images].

    Examples
    --------
    >>> import torch
    >>> el2n(torch.zeros(1, 2), torch.tensor([0]))
    tensor([0.7071])
    """
    errors = logits.softmax(1) - F.one_hot(labels, logits.shape[1])
    return errors.norm(dim=1)
