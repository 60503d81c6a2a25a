"""Takes batches of worker processes until it is killed: `python fed_by_processes.py FOLDER`."""

import sys

from keras_imaging.data import ClassificationSampler
from keras_imaging.data.labelled import labelled_folder
from keras_imaging.training.worker_processes import made_by_processes


def main(folder):
    sampler = ClassificationSampler(labelled_folder(folder).examples, 2, 16, 8)
    for _ in made_by_processes(sampler, 0, 10**9, lambda number: (number, slice(None)), workers=2):
        print("batch", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
