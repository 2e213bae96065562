"""What an import says it understood."""

import json

import pytest

from boxwise.study import Study


def document(study, names, path, *, boxed):
    """A COCO file of some images, of which the first `boxed` have a box."""
    images = [{"id": number, "file_name": name, "width": 96, "height": 96} for number, name in enumerate(names, 1)]
    boxes = [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81, "iscrowd": 0} for n in range(1, boxed + 1)]
    path.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": study.classes[0]}]}))
    return path


def voc(study, names, folder, *, boxed):
    """VOC files, one an image; those after the first `boxed` say that there is nothing."""
    (folder / "Annotations").mkdir(parents=True)
    for number, name in enumerate(names):
        thing = f"<object><name>{study.classes[0]}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object>"
        stem = name.split("/")[-1].rsplit(".", 1)[0]
        (folder / "Annotations" / f"{stem}.xml").write_text(
            f"<annotation><filename>{name}</filename><size><width>96</width><height>96</height><depth>3</depth></size>"
            f"{thing if number < boxed else ''}</annotation>"
        )
    return folder


@pytest.mark.parametrize(("missing", "taken", "word"), [("empty", 3, "taken as empty"), ("unlabeled", 1, "left open")])
def test_images_without_boxes_are_said_and_taken_as_wished(boxwise, waiting_study, tmp_path, missing, taken, word):
    study = waiting_study("full")
    asked = study.ask().image_ids
    labels = voc(study, asked[:3], tmp_path / "labels", boxed=1)
    code, out, err = boxwise("import", study.folder, labels, "--format", "voc", "--missing", missing)
    assert code == 0 and f"{taken} images labelled" in out and f"2 of 3 images have no box: {word}" in err, out + err
    assert len(Study.open(study.folder).ask().items) == len(asked) - taken


def test_images_that_were_not_asked_for_are_said(boxwise, waiting_study, tmp_path):
    study = waiting_study("full")
    others = [record.image_id for record in study.store.pool() if record.image_id not in study.ask().image_ids]
    code, out, err = boxwise("import", study.folder, document(study, others[:2], tmp_path / "labels.json", boxed=2))
    assert code == 0 and "2 of 2 images were not asked for now: their labels count all the same" in err, out + err
