"""What is restored is what was saved, or an error: without a sum of any file that holds tensors."""

import json
import random
import shutil
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from t5x_lite.checkpoints import leaf_sums, lookup, manager, manifest, restoring, saving
from t5x_lite.checkpoints.config import SaveCheckpointConfig, SavedDtype
from t5x_lite.checkpoints.errors import DamagedError

KERNEL = "parameters/kernel"


def state(step: int) -> dict:
    kernel = jax.random.normal(jax.random.key(step), (64, 48))
    return {"step": jnp.int32(step), "parameters": {"kernel": kernel, "scale": kernel[0]}}


def abstract(tree: dict) -> dict:
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), tree
    )


def save(directory, *states: dict, **settings):
    checkpoints = manager.Checkpoints(directory, SaveCheckpointConfig(**settings))
    for each in states:
        checkpoints.save(int(each["step"]), each, manager.Description(""))
    checkpoints.close()
    return directory


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Steps 1 to 3, no file of whose tensors has a sum."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "_LARGE", 0)
        return save(tmp_path_factory.mktemp("run"), *map(state, (1, 2, 3)))


@pytest.fixture
def run(three, tmp_path):
    return shutil.copytree(three, tmp_path / "run")


def tensors(checkpoint):
    """The file that holds the kernel."""
    return max((checkpoint / "state").rglob("*"), key=lambda path: path.stat().st_size)


def flip(path, bit: int = -8) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def damage(checkpoint) -> None:
    """One bit of the kernel's last number."""
    path, kernel = tensors(checkpoint), state(int(checkpoint.name[-1]))["parameters"]["kernel"]
    flip(path, 8 * path.read_bytes().index(np.asarray(kernel).tobytes()) + 3)


def read(checkpoint) -> dict:
    return restoring.restore(checkpoint, abstract(state(1)))


@pytest.mark.parametrize("dtype", ["float32", "int32", "bfloat16", "int8", "bool"])
@pytest.mark.parametrize("shape", [(), (8,), (8, 16), (2, 8, 4)])
def test_the_sum_is_one_number_on_any_mesh(shape, dtype):
    """Elements' bits times odd places, which NumPy counts from the beginning."""
    host = np.random.default_rng(0).integers(-99, 99, shape).astype(jnp.dtype(dtype))
    bits = np.atleast_1d(host).view(f"uint{8 * host.dtype.itemsize}").astype(np.uint32).ravel()
    expected = np.sum(bits * (2 * np.arange(bits.size, dtype=np.uint32) + 1), dtype=np.uint32)
    for rows in (1, 2, 8):
        mesh = jax.make_mesh((rows, 8 // rows), ("a", "b"))
        parts = [None] * len(shape)
        for axis, name in zip([n for n, size in enumerate(shape) if size == 8], "ab", strict=False):
            parts[axis] = name
        leaf = jax.device_put(host, NamedSharding(mesh, PartitionSpec(*parts)))
        assert int(leaf_sums.begin({"x": leaf}, {"x": leaf.dtype})["x"]) == expected
        shards = [each for each in leaf.addressable_shards if each.replica_id == 0]
        begins = [[side.start or 0 for side in each.index] for each in shards]
        parts = (
            leaf_sums.of_part(np.asarray(each.data), begin, shape)
            for each, begin in zip(shards, begins, strict=True)
        )
        assert sum(parts) % 2**32 == expected


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_large_leaves_are_added_up_in_parts(dtype, monkeypatch):
    """Rows that a part does not divide, and devices that hold a part of an axis each."""
    monkeypatch.setattr(leaf_sums, "_ELEMENTS_AT_A_TIME", 50)
    host = np.random.default_rng(0).normal(size=(6, 10, 8)).astype(jnp.dtype(dtype))
    expected = leaf_sums.of_part(host, (0, 0, 0), host.shape) % 2**32
    mesh = jax.make_mesh((2, 2), ("a", "b"))
    for parts in [(), ("a",), (None, "b", "a"), (None, None, ("b", "a")), (("a",), None, "b")]:
        leaf = jax.device_put(host, NamedSharding(mesh, PartitionSpec(*parts)))
        assert int(leaf_sums.begin({"x": leaf}, {"x": leaf.dtype})["x"]) == expected, parts
    alone = jnp.asarray(host)
    assert int(leaf_sums.begin({"x": alone}, {"x": alone.dtype})["x"]) == expected


def test_every_bit_counts():
    """Also those of infinities and of numbers that a compiler may take for zero."""
    host = np.array([0.0, -0.0, 1e-40, np.inf, 1.5], np.float32)
    sums = set()
    for bit in range(host.nbytes * 8):
        flipped = host.view(np.uint32).copy()
        flipped[bit // 32] ^= np.uint32(1) << np.uint32(bit % 32)
        leaf = jnp.asarray(flipped).view(jnp.float32)
        sums.add(int(leaf_sums.begin({"x": leaf}, {"x": leaf.dtype})["x"]))
    whole_sum = int(leaf_sums.begin({"x": jnp.asarray(host)}, {"x": jnp.dtype("float32")})["x"])
    assert whole_sum not in sums


def test_a_flipped_bit_anywhere_is_noticed_or_harmless(run, tmp_path):
    """In what no leaf is made of it may lie unseen; a number that is given is the one saved."""
    whole_one, dice, noticed = run / "checkpoint_3", random.Random(0), 0
    # The others are small, so they have sums.
    files = sorted([*whole_one.glob("state/**/d/*"), *whole_one.glob("state/**/manifest.ocdbt")])
    places = [(path, bit) for path in files for bit in range(8 * path.stat().st_size)]
    for path, bit in [(tensors(whole_one), -8), *dice.sample(places, 60)]:
        broken = shutil.copytree(whole_one, tmp_path / "checkpoint_3")
        flip(broken / path.relative_to(whole_one), bit)
        try:
            found = read(manager.absolute(broken))
            jax.tree.map(np.testing.assert_array_equal, found, state(3))
        except DamagedError:
            noticed += 1
        shutil.rmtree(broken)
    assert noticed > 20, noticed


def test_a_damaged_leaf_is_named(run):
    """No file's sum tells, so it is found as it is read."""
    damage(run / "checkpoint_3")
    assert manager.find(run, sums=True).name == "checkpoint_3"
    with pytest.raises(DamagedError, match=f"checkpoint_3 is damaged: {KERNEL} has other values"):
        read(manager.find(run))
    alone = {"parameters": {"scale": abstract(state(1))["parameters"]["scale"]}}
    with pytest.raises(ValueError, match="does not fit"):
        restoring.restore(manager.find(run), alone)
    found = restoring.restore(manager.find(run), alone, assignment_map=[("none", None)])
    np.testing.assert_array_equal(found["parameters"]["scale"], state(3)["parameters"]["scale"])


def test_the_one_before_is_read_and_the_damaged_moved_aside(run, capsys):
    """The steps between are all that it costs."""
    damage(run / "checkpoint_3")
    damage(run / "checkpoint_2")
    found = lookup.read_newest(run, read, move_aside=True)
    assert found["step"] == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.count("it was moved to") for line in lines] == [1, 1]
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoint_1",
        "checkpoint_2.damaged",
        "checkpoint_3.damaged",
    ]


def test_if_all_are_damaged_nothing_is_touched(run):
    """As where sizes or files' sums are wrong."""
    for step in (1, 2, 3):
        damage(run / f"checkpoint_{step}")
    with pytest.raises(ValueError, match="every checkpoint in .* is damaged"):
        lookup.read_newest(run, read, move_aside=True)
    assert len(list(run.glob("checkpoint_?"))) == 3


def test_a_directory_passes_over_and_a_name_does_not(run, capsys):
    """Who names a checkpoint does not want another."""
    damage(run / "checkpoint_3")
    assert lookup.read(run, read)["step"] == 2
    assert "checkpoint_3 is damaged" in capsys.readouterr().out
    with pytest.raises(DamagedError):
        lookup.read(run / "checkpoint_3", read)
    with pytest.raises(FileNotFoundError):
        lookup.read(run / "none", read)


def test_rounded_values_are_those_that_were_summed(tmp_path, monkeypatch):
    """bfloat16 on disk: ties, the smallest numbers and infinities as TensorStore rounds them."""
    bits = np.array([0x3F808000, 0x3F818000, 0x3F807FFF, 1, 0x00008001, 0x7F800000, 0xFF7FFFFF])
    kernel = jnp.asarray(bits.astype(np.uint32)).view(jnp.float32)
    one = {"step": jnp.int32(1), "parameters": {"kernel": kernel}}
    run = save(tmp_path, one, dtype=SavedDtype.BFLOAT16)
    found = restoring.restore(manager.find(run), abstract(one))
    assert found["parameters"]["kernel"].dtype == jnp.float32
    assert manifest.leaf_sums(manager.find(run))[KERNEL][0] == "bfloat16"


def test_what_is_cast_is_compared_first_and_in_parts(run, monkeypatch):
    """Inference takes bfloat16 of a checkpoint in float32 and has no room for both."""
    monkeypatch.setattr(restoring, "_BYTES_CAST_AT_ONCE", 1)
    parts = []
    check = leaf_sums.check
    monkeypatch.setattr(
        leaf_sums, "check", lambda leaves, *rest: (parts.append(set(leaves)), check(leaves, *rest))
    )
    wanted = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), state(3)["parameters"])
    found = restoring.restore(manager.find(run), {"parameters": abstract(wanted)})
    jax.tree.map(np.testing.assert_array_equal, found["parameters"], wanted)
    assert parts == [{KERNEL}, {"parameters/scale"}]
    damage(run / "checkpoint_3")
    with pytest.raises(DamagedError):
        restoring.restore(manager.find(run), {"parameters": abstract(wanted)})


def test_a_save_reads_no_tensors_back(tmp_path, monkeypatch):
    """Over a network it would take as long as the save itself."""
    monkeypatch.setattr(manifest, "_LARGE", 1000)
    sizes, checksum = [], manifest._sum
    monkeypatch.setattr(
        manifest, "_sum", lambda path: (sizes.append(path.stat().length), checksum(path))[1]
    )
    save(tmp_path, state(1))
    manager.find(tmp_path, sums=True)
    state_files = [p for p in (tmp_path / "checkpoint_1" / "state").rglob("*") if p.is_file()]
    assert max(path.stat().st_size for path in state_files) > 4 * 64 * 48
    assert max(sizes) < 4 * 64 * 48


def test_checkpoints_of_before_are_read_and_their_files_compared(tmp_path):
    """They have a sum of every file and none of a leaf."""
    run = save(tmp_path, state(1), state(2))
    for path in run.glob("*/manifest.json"):
        content = json.loads(path.read_text())
        del content["leaves"], content["sum"]
        assert all(checksum is not None for _, checksum in content["files"].values())
        content["sum"] = zlib.crc32(json.dumps(content, sort_keys=True).encode())
        path.write_text(json.dumps(content))
    jax.tree.map(np.testing.assert_array_equal, read(manager.find(run)), state(2))
    damage(run / "checkpoint_2")
    assert lookup.read(run, read)["step"] == 1


def test_the_types_on_disk_are_those_that_orbax_writes(run):
    """The sums are of these; another one would make every checkpoint a damaged one."""
    stored = restoring.leaves(restoring.metadata(manager.find(run)))
    sums = manifest.leaf_sums(manager.find(run))
    assert {name: str(leaf.dtype) for name, leaf in stored.items()} == {
        name: dtype for name, (dtype, _) in sums.items()
    }
    assert saving.num_bytes(state(1)) == 4 * (1 + 64 * 48 + 48)
