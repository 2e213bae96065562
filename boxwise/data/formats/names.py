"""The data set formats by name. To add one, implement `base.Format` and name it here; the contract suite then tests it."""

from boxwise.data.formats.base import Format
from boxwise.data.formats.coco import Coco
from boxwise.data.formats.cvat import Cvat
from boxwise.data.formats.voc import Voc
from boxwise.data.formats.yolo import Yolo

FORMATS: dict[str, Format] = {"voc": Voc(), "coco": Coco(), "yolo": Yolo(), "cvat": Cvat()}
