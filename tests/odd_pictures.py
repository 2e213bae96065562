"""Picture files in forms that programs read in different ways: turned, transparent, of more bits, moving, called by another format."""

import numpy as np
from PIL import Image

ALIKE = (
    "plain.jpg",
    "plain.png",
    "plain.webp",
    "grey.jpg",
    "grey.png",
    "turned.jpg",
    "two.mpo.jpg",
)  # a browser shows these as they are read
OTHERWISE = (
    "turned.webp", "turned.png", "turned by xmp.jpg", "twelve bits.png", "see-through.png", "see-through palette.png", "see-through.webp",
    "moving.gif", "moving.webp", "moving.png", "cmyk.jpg", "a tiff.jpg", "a jpeg2000.jpg", "a bitmap.png", "plain.bmp",
)  # fmt: skip
_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:tiff="http://ns.adobe.com/'
)
_XMP += b'tiff/1.0/"><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'


def odd_picture(folder, name):
    """A file of that name of ALIKE or OTHERWISE, 60 x 40 pixels before it is turned: a colour of its own in each quarter."""
    path = folder / name
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30], pixels[:20, 30:], pixels[20:, :30], pixels[20:, 30:] = (200, 40, 40), (40, 200, 40), (40, 40, 200), (90, 90, 90)
    image, turned = Image.fromarray(pixels), Image.Exif()
    turned[0x0112] = 6
    clear = image.convert("RGBA")
    clear.putalpha(Image.fromarray(np.where(np.arange(60) < 30, 255, 0).astype(np.uint8)[None].repeat(40, 0)))
    black = Image.new("RGB", image.size)
    formats = {"a tiff.jpg": "TIFF", "a jpeg2000.jpg": "JPEG2000", "a bitmap.png": "BMP", "two.mpo.jpg": "MPO"}
    if name.startswith("turned by xmp"):
        image.save(path, xmp=_XMP)
    elif name.startswith("turned"):
        image.save(path, exif=turned, **({"lossless": True} if name.endswith("webp") else {}))
    elif name.startswith("twelve"):
        Image.fromarray((np.arange(60 * 40).reshape(40, 60) % 4096).astype(np.uint16)).save(path)
    elif name == "see-through palette.png":
        image.quantize(8).save(path, transparency=0)
    elif name.startswith("see-through"):
        clear.save(path)
    elif name.startswith(("moving", "two")):
        image.save(path, formats.get(name), save_all=True, append_images=[black])
    elif name.startswith(("grey", "cmyk")):
        image.convert("L" if name.startswith("grey") else "CMYK").save(path)
    else:
        image.save(path, formats.get(name))
    return path
