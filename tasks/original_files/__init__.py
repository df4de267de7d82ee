"""Data sets as their authors publish them, read to the features that TFDS gives them.

One file for each format; `--gin.TASK_FILES=FOLDER` makes tasks read them (tasks/sources.py).
"""
