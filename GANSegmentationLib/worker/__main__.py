"""``python -m GANSegmentationLib.worker``: the worker in a process of its own."""

from .process import main

if __name__ == "__main__":
    main()
