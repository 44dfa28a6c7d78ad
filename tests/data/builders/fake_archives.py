"""Small datasets in the layout of the official archives, and what a builder must make of them.

The tables have the columns of the official ones, in their order. What belongs to which split is
written out by hand, from the definitions of WILDS and of UCF101's authors.
"""

from __future__ import annotations

import io
import pathlib
import tarfile
import zlib

import numpy as np
from PIL import Image

CAMELYON17 = """\
,patient,node,x_coord,y_coord,tumor,slide,center,split
0,004,4,3328,21792,1,0,0,0
1,004,4,3200,22272,0,0,0,1
2,022,3,1000,2000,0,12,1,0
3,022,3,1096,2000,1,12,1,1
4,042,3,640,960,1,23,2,0
5,051,2,640,992,0,24,2,1
6,061,0,512,512,0,35,3,0
7,072,3,96,192,1,36,3,1
8,088,1,96,192,1,46,4,0
"""

CAMELYON17_SPLITS = {
    "train": {
        "patches/patient_004_node_4/patch_patient_004_node_4_x_3328_y_21792.png": (1, 0),
        "patches/patient_061_node_0/patch_patient_061_node_0_x_512_y_512.png": (0, 3),
        "patches/patient_088_node_1/patch_patient_088_node_1_x_96_y_192.png": (1, 4),
    },
    "id_val": {
        "patches/patient_004_node_4/patch_patient_004_node_4_x_3200_y_22272.png": (0, 0),
        "patches/patient_072_node_3/patch_patient_072_node_3_x_96_y_192.png": (1, 3),
    },
    "val": {
        "patches/patient_022_node_3/patch_patient_022_node_3_x_1000_y_2000.png": (0, 1),
        "patches/patient_022_node_3/patch_patient_022_node_3_x_1096_y_2000.png": (1, 1),
    },
    "test": {
        "patches/patient_042_node_3/patch_patient_042_node_3_x_640_y_960.png": (1, 2),
        "patches/patient_051_node_2/patch_patient_051_node_2_x_640_y_992.png": (0, 2),
    },
}
"""For each split the files, with label and hospital."""

FMOW = """\
split,img_filename,category,country_code,cloud_cover,timestamp,lat,lon,region
train,a_rgb.jpg,airport,USA,0,2002-03-01T00:00:00Z,1.0,2.0,Americas
train,b_rgb.jpg,zoo,FRA,0,2012-12-31T23:59:59Z,1.0,2.0,Europe
train,c_rgb.jpg,zoo,FRA,0,2013-01-01T00:00:00Z,1.0,2.0,Europe
val,d_rgb.jpg,multi-unit_residential,IND,3,2013-01-01T00:00:00Z,1.0,2.0,Asia
val,e_rgb.jpg,dam,NGA,3,2015-12-31T23:59:59Z,1.0,2.0,Africa
val,f_rgb.jpg,dam,AUS,3,2012-06-01T10:20:30Z,1.0,2.0,Oceania
val,g_rgb.jpg,dam,AUS,3,2016-01-01T00:00:00Z,1.0,2.0,Oceania
seq,h_rgb.jpg,dam,AUS,3,2010-01-01T00:00:00Z,1.0,2.0,Oceania
test,i_rgb.jpg,tower,AUS,3,2016-01-01T00:00:00Z,1.0,2.0,Oceania
test,j_rgb.jpg,tower,XKX,3,2017-08-08T08:08:08Z,1.0,2.0,Other
test,k_rgb.jpg,"barn",FRA,3,2011-08-08T08:08:08.250000Z,1.0,2.0,Europe
test,l_rgb.jpg,barn,FRA,3,2014-08-08T08:08:08Z,1.0,2.0,Europe
test,m_rgb.jpg,barn,ATA,3,2016-01-01T01:30:00+02:00,1.0,2.0,Other
test,n_rgb.jpg,barn,ATA,3,2016-12-31T23:30:00-02:00,1.0,2.0,Other
"""

COUNTRIES = """\
name,alpha-2,alpha-3,country-code,iso_3166-2,region,sub-region,region-code
Antarctica,AQ,ATA,010,ISO 3166-2:AQ,,,
Australia,AU,AUS,036,ISO 3166-2:AU,Oceania,Australia and New Zealand,009
France,FR,FRA,250,ISO 3166-2:FR,Europe,Western Europe,150
India,IN,IND,356,ISO 3166-2:IN,Asia,Southern Asia,142
Nigeria,NG,NGA,566,ISO 3166-2:NG,Africa,Sub-Saharan Africa,002
"Micronesia, Federated States of",FM,FSM,583,ISO 3166-2:FM,Oceania,Micronesia,009
United States of America,US,USA,840,ISO 3166-2:US,Americas,Northern America,019
"""

FMOW_SPLITS = {
    "train": {"images/rgb_img_0.png": (0, 3, 2002), "images/rgb_img_1.png": (61, 1, 2012)},
    "val": {"images/rgb_img_3.png": (30, 0, 2013), "images/rgb_img_4.png": (12, 2, 2015)},
    "id_val": {"images/rgb_img_5.png": (12, 4, 2012)},
    "test": {
        "images/rgb_img_8.png": (56, 4, 2016),
        "images/rgb_img_9.png": (56, 5, 2017),
        "images/rgb_img_13.png": (6, 5, 2017),
    },
    "id_test": {"images/rgb_img_10.png": (6, 1, 2011)},
}
"""For each split the files, with label, region and year."""

IWILDCAM = """\
,split,location_remapped,location,sequence_remapped,seq_id,y,category_id,datetime,filename,image_id
0,id_test,7,20,5,s5,2,4,2013-05-01 09:00:00.000,e5.jpg,e5
1,id_val,7,20,4,s4,0,0,2013-05-02 09:00:00.000,d4.jpg,d4
2,test,300,310,3,s3,181,571,2013-05-03 09:00:00.000,c3.jpg,c3
3,test,301,311,3,s3,2,4,2013-05-03 09:00:01.000,c4.jpg,c4
4,train,7,20,1,s1,0,0,2013-05-04 09:00:00.000,a1.jpg,a1
5,train,322,340,2,s2,1,2,2013-05-05 09:00:00.000,a2.jpg,a2
6,val,0,3,6,s6,1,2,2013-05-06 09:00:00.000,b6.jpg,b6
"""

IWILDCAM_SPLITS = {
    "train": {"train/a1.jpg": (0, 7), "train/a2.jpg": (1, 322)},
    "val": {"train/b6.jpg": (1, 0)},
    "test": {"train/c3.jpg": (181, 300), "train/c4.jpg": (2, 301)},
    "id_val": {"train/d4.jpg": (0, 7)},
    "id_test": {"train/e5.jpg": (2, 7)},
}
"""For each split the files, with label and location."""


def picture(name: str) -> bytes:
    """An image file that no other name has."""
    color = np.frombuffer(zlib.crc32(name.encode()).to_bytes(4, "big"), np.uint8)[:3]
    buffer = io.BytesIO()
    Image.fromarray(np.tile(color, (6, 8, 1))).save(
        buffer, format="PNG" if name.endswith("png") else "JPEG"
    )
    return buffer.getvalue()


def make(files: dict[str, bytes | str], folder: pathlib.Path) -> pathlib.Path:
    """Writes files by relative path."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def pack(files: dict[str, bytes | str], path: pathlib.Path) -> pathlib.Path:
    """Writes files into a tar file, compressed as its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as archive:
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def _with_images(tables: dict[str, str], splits: dict[str, dict]) -> dict[str, bytes | str]:
    names = [name for split in splits.values() for name in split]
    return {"RELEASE_v1.0.txt": "", **tables, **{name: picture(name) for name in names}}


def camelyon17() -> dict[str, bytes | str]:
    """The files of a small Camelyon17."""
    return _with_images({"metadata.csv": CAMELYON17}, CAMELYON17_SPLITS)


def fmow() -> dict[str, bytes | str]:
    """The files of a small FMoW; it has images of no split too."""
    files = _with_images(
        {"rgb_metadata.csv": FMOW, "country_code_mapping.csv": COUNTRIES}, FMOW_SPLITS
    )
    return files | {f"images/rgb_img_{i}.png": picture(f"{i}.png") for i in (2, 6, 11)}


def iwildcam() -> dict[str, bytes | str]:
    """The files of a small iWildCam."""
    return _with_images({"metadata.csv": IWILDCAM, "categories.csv": "y\n"}, IWILDCAM_SPLITS)


UCF101_LISTS = {
    "ucfTrainTestlist/classInd.txt": "1 ApplyEyeMakeup\n35 Hammering\n36 HammerThrow\n"
    "37 HandstandPushups\n101 YoYo\n",
    "ucfTrainTestlist/trainlist01.txt": "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1\r\n"
    "HandstandPushups/v_HandStandPushups_g08_c01.avi 37\r\nYoYo/v_YoYo_g08_c01.avi 101\r\n",
    "ucfTrainTestlist/testlist01.txt": "YoYo/v_YoYo_g01_c01.avi\r\n"
    "HammerThrow/v_HammerThrow_g01_c02.avi\r\n",
    "ucfTrainTestlist/trainlist02.txt": "YoYo/v_YoYo_g01_c01.avi 101\n",
    "ucfTrainTestlist/testlist02.txt": "YoYo/v_YoYo_g08_c01.avi\n",
    "ucfTrainTestlist/trainlist03.txt": "HammerThrow/v_HammerThrow_g01_c02.avi 36\n",
    "ucfTrainTestlist/testlist03.txt": "YoYo/v_YoYo_g01_c01.avi\nYoYo/v_YoYo_g08_c01.avi\n",
}

UCF101_SPLITS = {
    "split1": {
        "train": {
            "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi": (0,),
            "HandstandPushups/v_HandStandPushups_g08_c01.avi": (36,),
            "YoYo/v_YoYo_g08_c01.avi": (100,),
        },
        "test": {
            "YoYo/v_YoYo_g01_c01.avi": (100,),
            "HammerThrow/v_HammerThrow_g01_c02.avi": (35,),
        },
    },
    "split2": {
        "train": {"YoYo/v_YoYo_g01_c01.avi": (100,)},
        "test": {"YoYo/v_YoYo_g08_c01.avi": (100,)},
    },
    "split3": {
        "train": {"HammerThrow/v_HammerThrow_g01_c02.avi": (35,)},
        "test": {"YoYo/v_YoYo_g01_c01.avi": (100,), "YoYo/v_YoYo_g08_c01.avi": (100,)},
    },
}
"""For each configuration and split the videos, with their label."""

MIDDLE_FRAMES = {
    "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi": "Apply_Eye_Makeup/v_ApplyEyeMakeup_g08_c01.jpg",
    "HandstandPushups/v_HandStandPushups_g08_c01.avi": "Handstand_Pushups/"
    "v_HandStandPushups_g08_c01.jpg",
    "YoYo/v_YoYo_g08_c01.avi": "Yo_Yo/v_YoYo_g08_c01.jpg",
    "YoYo/v_YoYo_g01_c01.avi": "Yo_Yo/v_YoYo_g01_c01.jpg",
    "HammerThrow/v_HammerThrow_g01_c02.avi": "Hammer_Throw/v_HammerThrow_g01_c02.jpg",
}
"""Where CoOp's layout has the middle frame of each video."""


def ucf101() -> dict[str, bytes | str]:
    """The files of a small UCF101 in CoOp's layout, with ready middle frames."""
    frames = {f"UCF-101-midframes/{path}": picture(path) for path in MIDDLE_FRAMES.values()}
    return UCF101_LISTS | frames
