import numpy as np
import pytest
from labelstudio_scenario import CLASSES, PROPOSED, region

from boxwise.boxes import Boxes
from boxwise.errors import BoxwiseError
from boxwise.labelstudio.tasks import boxes_of, configured_classes, key_of, labelling_config, score_of, task_of
from boxwise.records import Annotation, ImageRecord, Proposals, QueryItem, Source

RECORD = ImageRecord("b/ü.png", "", 1733, 977)
SIZE = (RECORD.width, RECORD.height)


def made(proposals, *, rank=0, asked=3, box_ids=None, record=RECORD):
    item = QueryItem(record.image_id, 1.5, {"L_det": 0.5}, box_ids=box_ids)
    return task_of(item, proposals, record, classes=CLASSES, url="/data/upload/1/x.png", round_index=2, rank=rank, asked=asked)


def test_percent_and_back_moves_no_box_by_a_ten_thousandth_of_a_pixel():
    rng = np.random.default_rng(0)
    worst = 0.0
    for width, height in ((1733, 977), (31, 17), (8191, 6143)):
        corners = np.sort(rng.uniform(0, 1, (200, 2, 2)), axis=1).reshape(200, 4) * [width, height, width, height]
        boxes = Boxes(corners, rng.integers(0, 3, 200), rng.random(200), ids=np.array([f"r2-{n}" for n in range(200)], object))
        record = ImageRecord("a.png", "", width, height)
        result = made(Proposals("a.png", boxes, np.zeros(200, bool)), record=record)["predictions"][0]["result"]
        back = boxes_of(result, record, CLASSES, subject="a.png")
        assert back.labels.tolist() == boxes.labels.tolist() and back.ids.tolist() == boxes.ids.tolist()
        worst = max(worst, np.abs(back.xyxy.astype(np.float64) - boxes.xyxy).max())
    assert worst < 1e-4


def test_a_task_carries_its_image_round_boxes_and_reasons():
    task = made(PROPOSED["d.png"], rank=1, box_ids=("r1-4", "r1-2", "r1-9"))
    assert key_of(task) == ("b/ü.png", 2) and task["data"]["image"] == "/data/upload/1/x.png"
    assert task["meta"]["box_ids"] == ["r1-0", "r1-4", "r1-2", "r1-9"]
    assert task["meta"]["asked"] == ["r1-4", "r1-2", "r1-9"] and task["meta"]["terms"] == {"L_det": 0.5}
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "round 02"
    assert [r["meta"]["text"] for r in prediction["result"]] == [["certain"], ["uncertain"], ["uncertain"], ["uncertain"]]
    assert [round(r["score"], 2) for r in prediction["result"]] == [0.95, 0.6, 0.5, 0.4]


def test_without_proposals_there_is_still_a_prediction_that_gives_the_order():
    assert made(None)["predictions"] == [{"model_version": "round 02", "score": 0.25, "result": []}]


def test_scores_rise_with_the_rank_and_stay_inside_0_and_1():
    scores = [score_of(rank, 1000) for rank in range(1000)]
    assert scores[0] > 0 and scores[-1] < 1 and scores == sorted(set(scores))


def test_a_persons_settled_boxes_are_shown_without_a_score():
    own = Boxes(np.array([[1, 1, 9, 9]]), np.array([2]))
    settled = Annotation("b/ü.png", own, (Source.HUMAN,), True)
    (shown,) = made(Proposals("b/ü.png", Boxes.empty(), np.zeros(0, bool), settled))["predictions"][0]["result"]
    assert shown["id"] == "settled:0" and shown["meta"]["text"] == ["settled"] and "score" not in shown


def test_the_config_offers_the_classes_whatever_is_in_their_names():
    assert configured_classes(labelling_config(CLASSES)) == CLASSES
    assert configured_classes("<View>") == configured_classes("<View/>") == ()


@pytest.mark.parametrize(("changes", "says"), [
    ({"value": {"x": 1, "y": 1, "width": 5, "height": 5, "rotation": 12.5, "rectanglelabels": [CLASSES[0]]}}, "rotated by 12.5 degrees"),
    ({"image_rotation": 90}, "image turned by 90"),
    ({"type": "polygonlabels"}, "is a 'polygonlabels'"),
    ({"type": None}, "is a None"),
    ({"value": {"x": 1, "y": 1, "width": 5}}, "Expected x, y, width and height"),
    ({"value": {"x": "1", "y": 1, "width": 5, "height": 5}}, "Expected x, y, width and height"),
    ({"value": {"x": 1, "y": 1, "width": 5, "height": 5}}, "has the classes None. Expected one"),
    ({"value": {"x": 1, "y": 1, "width": 5, "height": 5, "rectanglelabels": ["cow"]}}, "unknown class 'cow'"),
    ({"value": {"x": 1, "y": 1, "width": 0, "height": 5, "rectanglelabels": [CLASSES[0]]}}, "has xmin 17.33 ≥ xmax 17.33"),
    ({"value": {"x": 1, "y": 99, "width": 5, "height": 5, "rectanglelabels": [CLASSES[0]]}}, "> image height 977"),
    ({"value": {"x": float("nan"), "y": 9, "width": 5, "height": 5, "rectanglelabels": [CLASSES[0]]}}, "four finite numbers"),
    ({"original_width": 977, "original_height": 1733}, "drawn on 977 x 1733 pixels"),
])  # fmt: skip
def test_what_is_no_box_of_this_image_is_named(changes, says):
    good = region((1, 1, 50, 50), CLASSES[0], SIZE)
    with pytest.raises(BoxwiseError, match=r"task 7") as error:
        boxes_of([good, good | changes], RECORD, CLASSES, subject="task 7")
    assert says in str(error.value)


def test_a_hair_over_the_edge_is_clipped_and_other_controls_are_passed_over():
    over = region((-1e-9, 0, SIZE[0] + 1e-9, SIZE[1]), CLASSES[2], SIZE)
    choice = {"id": "x", "type": "choices", "from_name": "quality", "value": {"choices": ["good"]}}
    boxes = boxes_of([choice, over], RECORD, CLASSES, subject="a")
    assert boxes.xyxy.tolist() == [[0, 0, *SIZE]] and boxes.labels.tolist() == [2]


@pytest.mark.parametrize("task", [{}, {"data": None}, {"data": {"image_id": "a"}}, {"data": {"image_id": "a", "round": True}}])
def test_tasks_of_others_are_not_ours(task):
    assert key_of(task) is None
