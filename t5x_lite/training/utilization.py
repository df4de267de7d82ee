"""How well a run uses its machine: peaks of devices, and time spent waiting for data."""

from t5x_lite.display.progress import say

# bfloat16 FLOP/s of one device as JAX counts them (half a chip on TPU v2, v3 and 7x), without
# sparsity, from the vendors' data sheets. The first name found in the device's kind counts.
_PEAKS = {
    "TPU v2": 22.5e12,
    "TPU v3": 61.5e12,
    "TPU v4 lite": 138e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "TPU7x": 1153.5e12,
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "V100": 125e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "T4": 65e12,
}
# A smaller share of waiting is noise, or costs less than what would be done about it.
_INPUT_BOUND = 0.2


def peak_flops(device_kind: str) -> float | None:
    """What a device can do in a second in bfloat16; None if its kind is not known.

    Model FLOPs utilization is counted against this number also where activations are float32.
    """
    for name, peak in _PEAKS.items():
        if name in device_kind:
            return peak
    return None


class DataWait:
    """Share of the time that steps waited for their batch; once, what to do if it is large."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._has_advised = False

    def scalars(self, waited_seconds: float, seconds: float) -> dict[str, float]:
        """The share of a log period.

        Args:
            waited_seconds: all the waiting since the run began (`Batches.waited_seconds`).
            seconds: the length of the period.
        """
        waited, self._waited = waited_seconds - self._waited, waited_seconds
        fraction = min(max(waited / seconds, 0.0), 1.0)
        if fraction > _INPUT_BOUND and not self._has_advised:
            self._has_advised = True
            say(
                f"input-bound: {fraction:.0%} of the time is spent waiting for data. Make the "
                "examples once beforehand (t5x_lite cache TASK), read in parallel (a higher "
                "--gin.NUM_DATA_SHARDS), or give the machine more cores."
            )
        return {"timing/data_wait_fraction": fraction}
