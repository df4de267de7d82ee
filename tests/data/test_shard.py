"""A data shard's iterator when the process ends."""

import ctypes
import sys

import tensorflow as tf

from t5x_lite.data import shard


def test_an_exit_takes_no_iterator_apart():
    """TensorFlow might wait a minute for each; those that are gone already are no matter."""

    def dataset():
        return tf.data.Dataset.range(3).map(lambda n: {"inputs": n[None]})

    def made():
        return shard.Shard(dataset, origin=0, fingerprint={"pack": True}, versions={})

    made()
    held = made()
    assert held.read()["inputs"].tolist() == [0]
    counts = [sys.getrefcount(held._iterator)]
    shard._keep_until_the_end()
    counts.append(sys.getrefcount(held._iterator))
    while shard._live:  # of other tests as well
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(shard._live.pop()))
    counts.append(sys.getrefcount(held._iterator))
    assert [count - counts[0] for count in counts] == [0, 1, 0]
