"""What labelling has cost is said where a price is known."""

import json

from boxwise.data.digits import make_digits
from boxwise.study import Study


def test_status_says_what_was_spent(boxwise, tmp_path):
    make_digits(tmp_path / "scenes", seed=3, images=6, imgsz=48)
    init = ("init", tmp_path / "study", "--images", tmp_path / "scenes" / "JPEGImages", "--classes", "cat", "detector.name=tiny_ssd")
    assert boxwise(*init, "budget.unit=money")[0] == 2
    assert boxwise(*init, "budget.unit=money", "cost.per_hour=30", "budget.total=50")[0] == 0
    study = Study.open(tmp_path / "study")
    study.tell(study.ask().image_ids[0], [], seconds=60.0)
    study.store.close()
    code, out, err = boxwise("status", tmp_path / "study")
    assert code == 0 and "Labelling has cost 0.50, at 30 an hour. Of the budget of 50 money, 0.5 are spent." in out, out + err
    told = json.loads(boxwise("status", tmp_path / "study", "--json")[1])["spent"]
    assert told == {"unit": "money", "amount": 0.5, "total": 50.0}
