"""The data set formats by name. To add one, implement `base.Format`, or `base.Reader` where it is only read, and name it here.

FORMATS can be read and written; the contract suite tests each. READERS are all that can be read.
"""

from boxwise.data.formats.base import Format, Reader
from boxwise.data.formats.coco import Coco
from boxwise.data.formats.createml import CREATE_ML
from boxwise.data.formats.cvat import Cvat
from boxwise.data.formats.labelme import LabelMe
from boxwise.data.formats.labelstudio import LabelStudio
from boxwise.data.formats.openimages import OpenImages
from boxwise.data.formats.plain_texts import DRONES, KITTI
from boxwise.data.formats.via import VIA
from boxwise.data.formats.voc import Voc
from boxwise.data.formats.yolo import Yolo

FORMATS: dict[str, Format] = {"voc": Voc(), "coco": Coco(), "yolo": Yolo(), "cvat": Cvat()}
_READ_ONLY: tuple[Reader, ...] = (LabelStudio(), LabelMe(), OpenImages(), KITTI, DRONES, CREATE_ML, VIA)
READERS: dict[str, Reader] = {**FORMATS, **{reader.name: reader for reader in _READ_ONLY}}
