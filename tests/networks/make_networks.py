"""Whole networks, operator by operator as the public ones have them, with random weights.

    make_networks.py FOLDER

Writes FOLDER/NAME.tflite for each. The same on every machine with the packages of tests/golden/requirements.txt.
"""

import sys
from pathlib import Path

import classification
import detection
import pose
import segmentation
import sequence


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for family in (classification, detection, segmentation, pose, sequence):
        for network in family.NETWORKS:
            (folder / f"{network.__name__}.tflite").write_bytes(network())


if __name__ == "__main__":
    main()
