"""The built-in methods, by the value of ``algorithm`` that selects them.

One module describes one method: its options, published hyper-parameters, inputs, name in the
paper, and citation. The algorithm itself is in ``condensation.methods``, under the same name.
"""

from condensation.config.methods.base import Method
from condensation.config.methods.datm import DATM
from condensation.config.methods.dc import DC
from condensation.config.methods.dm import DM
from condensation.config.methods.dsa import DSA
from condensation.config.methods.el2n import EL2N
from condensation.config.methods.forgetting import Forgetting
from condensation.config.methods.frepo import FRePo
from condensation.config.methods.greedy_kcenter import GreedyKCenter
from condensation.config.methods.herding import Herding
from condensation.config.methods.imported import Imported
from condensation.config.methods.kcenter import KCenter
from condensation.config.methods.kip import KIP
from condensation.config.methods.plugin import Plugin
from condensation.config.methods.random import Random
from condensation.config.methods.random_labels import RandomLabels
from condensation.config.methods.rded import RDED
from condensation.config.methods.tm import TM
from condensation.config.methods.whole import Whole

__all__ = ["METHODS", "Method", "Plugin"]

# Written out, not searched for: the digest of a script that loads a config covers its imports.
METHODS: dict[str, type[Method]] = {
    "random": Random,
    "kcenter": KCenter,
    "herding": Herding,
    "greedy_kcenter": GreedyKCenter,
    "el2n": EL2N,
    "forgetting": Forgetting,
    "dc": DC,
    "dsa": DSA,
    "dm": DM,
    "tm": TM,
    "datm": DATM,
    "kip": KIP,
    "frepo": FRePo,
    "rded": RDED,
    "whole": Whole,
    "random_labels": RandomLabels,
    "imported": Imported,
}
