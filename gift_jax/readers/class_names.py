"""Names of the classes of published datasets, by class id, as folders, lists and columns spell them."""

from collections.abc import Mapping

Names = tuple[tuple[str, ...], ...]
"""By class id, the names of a class; the first one is the usual one."""

_CIFAR10: Names = (
    ("airplane", "plane", "aeroplane"),
    ("automobile", "car"),
    *((name,) for name in ("bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")),
)
_CIFAR100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Torchvision's names of MNIST's classes are `0 - zero` and so on.
_DIGITS: Names = tuple((str(digit), word, f"{digit} {word}") for digit, word in enumerate(_WORDS))
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")

# Subsets of ImageNet by WordNet id, in the order of MTT's code (`utils.py`), which Minimax, NCFM, D3HR and CaO2 share;
# only Imagewoof's is not sorted.
_NETTE = """
n01440764=tench, n02102040=English springer, n02979186=cassette player, n03000684=chain saw=chainsaw, n03028079=church,
n03394916=French horn, n03417042=garbage truck, n03425413=gas pump, n03445777=golf ball, n03888257=parachute
"""
_WOOF = """
n02096294=Australian terrier, n02093754=Border terrier, n02111889=Samoyed, n02088364=Beagle, n02086240=Shih-Tzu,
n02089973=English foxhound, n02087394=Rhodesian ridgeback, n02115641=Dingo, n02099601=Golden retriever,
n02105641=Old English sheepdog
"""
_SUBSETS: list[Names] = [
    tuple(tuple(entry.strip().split("=")) for entry in subset.split(",")) for subset in (_NETTE, _WOOF)
]
NETTE, WOOF = (tuple(names[0] for names in subset) for subset in _SUBSETS)
# The first ten of IDC's `misc/class100.txt`.
TEN = (
    *("n02869837", "n01749939", "n02488291", "n02107142", "n13037406"),
    *("n02091831", "n04517823", "n04589890", "n03062245", "n01773797"),
)

# Class ids of folders are in the sorted order of WordNet ids, as torchvision's ImageFolder counts them. Not those of
# imagenet-10 and -100, on whose classes code does not agree.
KNOWN: Mapping[str, Names] = {
    "cifar10": _CIFAR10,
    "cifar100": tuple((name,) for name in _CIFAR100.split()),
    **dict.fromkeys(("digits", "mnist", "svhn"), _DIGITS),
    "fashion-mnist": tuple((name,) for name in FASHION),
    "imagenet-nette": tuple(sorted(_SUBSETS[0])),
    "imagenet-woof": tuple(sorted(_SUBSETS[1])),
}
