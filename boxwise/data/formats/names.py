"""The data set formats by name. To add one, implement `base.Format`, or `base.Reader` where it is only read, and name it here.

The contract suite then tests every format; FORMATS are those that can be written.
"""

from boxwise.data.formats.base import Format, Reader
from boxwise.data.formats.coco import Coco
from boxwise.data.formats.cvat import Cvat
from boxwise.data.formats.voc import Voc
from boxwise.data.formats.yolo import Yolo

FORMATS: dict[str, Format] = {"voc": Voc(), "coco": Coco(), "yolo": Yolo(), "cvat": Cvat()}
READERS: dict[str, Reader] = {**FORMATS}
