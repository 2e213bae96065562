"""COCO's 80 class names, and which of them a class of a study is, under its own name or a common synonym.

What detectors trained on COCO can find before anybody has labelled anything. Pure names.
"""

from __future__ import annotations

from collections.abc import Sequence

_NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, parking meter, bench, bird,
cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, snowboard,
sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon,
bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table,
toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors,
teddy bear, hair drier, toothbrush
"""
COCO_CLASSES = tuple(" ".join(name.split()) for name in _NAMES.split(","))

# Other names of the same thing, VOC's among them; nothing that is only a kind of it.
SYNONYMS = {
    **dict.fromkeys(("human", "people", "pedestrian"), "person"),
    **dict.fromkeys(("bike", "pushbike", "pedal cycle"), "bicycle"),
    **dict.fromkeys(("automobile", "motorcar"), "car"),
    **dict.fromkeys(("motorbike",), "motorcycle"),
    **dict.fromkeys(("aeroplane", "plane"), "airplane"),
    **dict.fromkeys(("lorry",), "truck"),
    **dict.fromkeys(("traffic signal", "stoplight"), "traffic light"),
    **dict.fromkeys(("hydrant",), "fire hydrant"),
    **dict.fromkeys(("rucksack", "knapsack"), "backpack"),
    **dict.fromkeys(("wineglass",), "wine glass"),
    **dict.fromkeys(("doughnut",), "donut"),
    **dict.fromkeys(("hotdog",), "hot dog"),
    **dict.fromkeys(("sofa", "settee"), "couch"),
    **dict.fromkeys(("pottedplant", "pot plant"), "potted plant"),
    **dict.fromkeys(("diningtable",), "dining table"),
    **dict.fromkeys(("television", "tvmonitor", "tv monitor"), "tv"),
    **dict.fromkeys(("laptop computer",), "laptop"),
    **dict.fromkeys(("computer mouse",), "mouse"),
    **dict.fromkeys(("remote control",), "remote"),
    **dict.fromkeys(("cellphone", "mobile phone", "smartphone", "phone"), "cell phone"),
    **dict.fromkeys(("fridge",), "refrigerator"),
    **dict.fromkeys(("hair dryer", "hairdryer"), "hair drier"),
    **dict.fromkeys(("teddy",), "teddy bear"),
    **dict.fromkeys(("knives",), "knife"),
    **dict.fromkeys(("mice", "computer mice"), "mouse"),
    **dict.fromkeys(("ski",), "skis"),
}


def known_classes(classes: Sequence[str], known: Sequence[str] = COCO_CLASSES) -> dict[int, str]:
    """Index in `classes` → the one of `known` that it is: the same name (in any case, '_' and '-' as spaces), or a synonym or plural.

    Each of `known` is taken once, by the first class of exactly its name: the detector could not tell two classes of one appearance apart.
    """
    plain = {_plain(name): name for name in known}
    exact = {index: plain[_plain(name)] for index, name in enumerate(classes) if _plain(name) in plain}
    found: dict[int, str] = {}
    for index, name in (*exact.items(), *((index, plain.get(_synonym(name, plain))) for index, name in enumerate(classes))):
        if name is not None and index not in found and name not in found.values():
            found[index] = name
    return dict(sorted(found.items()))


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def _synonym(name: str, known: Sequence[str] | dict[str, str]) -> str:
    """The name in `known` that `name`, or its singular, is a synonym of; `name` itself where there is none."""
    plain = _plain(name)
    forms = (plain, plain.removesuffix("s"), plain.removesuffix("es"))
    return next((each for form in forms for each in (form, SYNONYMS.get(form, "")) if each in known), plain)
