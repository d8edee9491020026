"""K-Center: real images near the centres of k-means clusters."""

from typing import Literal

from pydantic import Field

from condensation.config.methods.base import Selection


class KCenter(Selection):
    """Per class, k-means with k = IPC and the real image nearest to each centre."""

    paper_name = "K-Center"
    citation = "Cui et al. (2022), DC-BENCH, Algorithm 1, arXiv:2207.09639"

    algorithm: Literal["kcenter"] = Field(description="Selects this algorithm.")
    start: Literal["random", "k-means++"] = Field(
        "random",
        description="Initial centres: random images of the class, as in Algorithm 1 of the paper, "
        "or k-means++.",
    )
    max_iterations: int = Field(300, ge=1, description="Maximum number of k-means iterations.")
    restarts: int = Field(
        1, ge=1, description="K-means runs per class; the one with the lowest inertia is kept."
    )
