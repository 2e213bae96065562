"""A study whose questions your own program answers: a class with one method replaces the labelling page.

    python examples/answer_from_python.py FOLDER

makes 60 scenes of handwritten digits in FOLDER, hides their labels, and runs a study of three rounds; half a minute on two cores.
"""

import sys
from dataclasses import replace
from pathlib import Path

import boxwise
from boxwise import Action, Boxes, Phase, Proposals, QueryItem, Split, Verdict

SMALL = (  # settings of a study that is done in seconds; leave them out for photographs
    *("detector.name=tiny_ssd", "detector.imgsz=96", "detector.pretrained=none"),
    *("train.min_steps=12", "train.max_steps=12", "train.batch=4"),
    *("budget.initial=10", "budget.per_round=5", "budget.rounds=2"),
)


class MyTool:
    """Answers for one image at a time. Here from labels on the disk; put your window, queue or web service in its place."""

    def __init__(self, truth: dict[str, Boxes]) -> None:
        self.truth = truth

    def annotate(self, item: QueryItem, proposals: Proposals | None) -> tuple[list[Verdict], float]:
        """What was done on the image, and the seconds that it took. `item.utility` is what the strategy ranked the image by."""
        boxes = self.truth[item.image_id]
        drawn = [Verdict(Action.ADD, xyxy=tuple(box), label=int(k), seconds=7.0) for box, k in zip(boxes.xyxy, boxes.labels, strict=True)]
        return drawn, 2.0 + 7.0 * len(drawn)


def main(folder: Path) -> None:
    boxwise.make_digits(folder / "digits", seed=0, images=60)
    dataset = boxwise.read_dataset(folder / "digits")
    pool = {record.image_id for record in dataset.images if record.split is Split.TRAIN}
    hidden = replace(dataset, labels={name: boxes for name, boxes in dataset.labels.items() if name not in pool})

    study = boxwise.Study.create(folder / "study", hidden, config=boxwise.load_config(None, SMALL))
    phase = study.run(MyTool(dataset.labels), on_step=lambda number, phase: print(f"round {number}: {phase.value}"))

    assert phase is Phase.DONE
    for one in study.rounds():
        print(f"round {one.round}: {one.annotate.images} images, AP {one.evaluate.test['ap']:.3f} on test")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
