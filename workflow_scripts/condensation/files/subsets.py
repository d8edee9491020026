"""Subsets of ImageNet that papers on condensation use, by their WordNet ids.

ImageNette and ImageWoof are those of fast.ai (github.com/fastai/imagenette), the others those of
TM (Cazenavette et al., 2022, arXiv:2203.11932). This module does not import torch.
"""

from collections.abc import Mapping

SUBSETS: dict[str, dict[str, str]] = {
    "imagenette": {
        "n01440764": "tench",
        "n02102040": "English springer",
        "n02979186": "cassette player",
        "n03000684": "chain saw",
        "n03028079": "church",
        "n03394916": "French horn",
        "n03417042": "garbage truck",
        "n03425413": "gas pump",
        "n03445777": "golf ball",
        "n03888257": "parachute",
    },
    "imagewoof": {
        "n02086240": "Shih-Tzu",
        "n02087394": "Rhodesian ridgeback",
        "n02088364": "beagle",
        "n02089973": "English foxhound",
        "n02093754": "Border terrier",
        "n02096294": "Australian terrier",
        "n02099601": "golden retriever",
        "n02105641": "Old English sheepdog",
        "n02111889": "Samoyed",
        "n02115641": "dingo",
    },
    "imagefruit": {
        "n07718472": "cucumber",
        "n07720875": "bell pepper",
        "n07742313": "Granny Smith",
        "n07745940": "strawberry",
        "n07747607": "orange",
        "n07749582": "lemon",
        "n07753113": "fig",
        "n07753275": "pineapple",
        "n07753592": "banana",
        "n07768694": "pomegranate",
    },
    "imagemeow": {
        "n02123045": "tabby",
        "n02123159": "tiger cat",
        "n02123394": "Persian cat",
        "n02123597": "Siamese cat",
        "n02124075": "Egyptian cat",
        "n02127052": "lynx",
        "n02128757": "snow leopard",
        "n02128925": "jaguar",
        "n02129165": "lion",
        "n02129604": "tiger",
    },
    "imagesquawk": {
        "n01518878": "ostrich",
        "n01614925": "bald eagle",
        "n01806143": "peacock",
        "n01818515": "macaw",
        "n01819313": "sulphur-crested cockatoo",
        "n01843383": "toucan",
        "n01860187": "black swan",
        "n02007558": "flamingo",
        "n02051845": "pelican",
        "n02056570": "king penguin",
    },
    "imageyellow": {
        "n01531178": "goldfinch",
        "n01773157": "black and gold garden spider",
        "n02129165": "lion",
        "n02206856": "bee",
        "n03530642": "honeycomb",
        "n04146614": "school bus",
        "n07749582": "lemon",
        "n07753592": "banana",
        "n12057211": "yellow lady's slipper",
        "n12144580": "corn",
    },
}


def class_names(subset: str | None) -> Mapping[str, str] | None:
    """Return the class name of each folder of a subset; None without a subset."""
    return None if subset is None else SUBSETS[subset]
