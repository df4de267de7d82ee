import pytest
from jax.sharding import PartitionSpec

from t5x_lite.partitioning.config import STANDARD_LOGICAL_AXIS_RULES
from t5x_lite.partitioning.rules import check_rules, indivisible, neighbours, partition_spec


@pytest.mark.parametrize(
    ("axes", "spec"),
    [
        (("vocab", "embed"), ("model", None)),
        (("layers", "embed", "mlp"), (None, None, "model")),
        (("layers", "mlp", "embed"), (None, "model", None)),
        (("layers", "embed", "joined_kv"), (None, None, "model")),
        (("layers", "joined_kv", "embed"), (None, "model", None)),
        (("heads", "relpos_buckets"), ("model", None)),
        (("batch", "length", "heads", "head_dim"), ("data", None, "model", None)),
        (("batch", "length", "vocab"), ("data", None, "model")),
        (("batch", None), ("data", None)),
        ((), ()),
    ],
)
def test_standard_rules_split_what_the_reference_splits(axes, spec):
    assert partition_spec(axes, STANDARD_LOGICAL_AXIS_RULES) == PartitionSpec(*spec)


def test_a_mesh_axis_is_used_once_and_a_second_choice_counts():
    """T5X's 2-D partitioning: embed goes to model in activations, to data in parameters."""
    rules = (("batch", "data"), ("mlp", "model"), ("embed", "model"), ("embed", "data"))
    assert partition_spec(("embed", "mlp"), rules) == PartitionSpec("data", "model")
    assert partition_spec(("batch", "embed"), rules) == PartitionSpec("data", "model")
    assert partition_spec(("batch", "mlp", "embed"), rules) == PartitionSpec("data", "model", None)


def test_a_rule_may_name_several_mesh_axes():
    """All of them have to be free, and then all are taken."""
    rules = (("batch", ("slice", "data")), ("embed", "data"), ("mlp", ("data", "model")))
    assert partition_spec(("batch", "embed"), rules) == PartitionSpec(("slice", "data"), None)
    assert partition_spec(("embed", "mlp"), rules) == PartitionSpec("data", None)
    assert partition_spec(("mlp",), rules) == PartitionSpec(("data", "model"))


def test_an_axis_without_a_rule_names_the_parameter_and_the_nearest_axis():
    """Replicating it in silence is how models ran out of memory."""
    with pytest.raises(ValueError, match="encoder/wi.*'emebd', which no rule names.*'embed'"):
        partition_spec(("emebd", "mlp"), STANDARD_LOGICAL_AXIS_RULES, parameter="encoder/wi")


def test_a_rule_to_a_mesh_axis_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="did you mean 'model'"):
        check_rules((("mlp", "modle"),), ("data", "model"))
    with pytest.raises(ValueError, match="'modle'.* did you mean 'model'"):
        check_rules((("mlp", ("data", "modle")),), ("data", "model"))
    with pytest.raises(ValueError, match="names a mesh axis twice"):
        check_rules((("mlp", ("data", "data")),), ("data", "model"))


def test_what_does_not_divide_names_the_sizes_that_do():
    """6 heads on 4 partitions: the user learns at once that 3 need 6 or 12 devices."""
    (problem,) = indivisible(
        ("heads", "relpos_buckets"), (6, 32), PartitionSpec("model", None), {"data": 2, "model": 4}
    )
    assert problem == (
        "6 heads do not divide by model=4; num_partitions 1, 2, 3, 6 do "
        "(of these, 1, 2 on 8 devices: --gin.NUM_PARTITIONS=2)"
    )
    mesh = {"slice": 2, "data": 4, "model": 1}
    (problem,) = indivisible(("batch",), (12,), PartitionSpec(("slice", "data")), mesh)
    assert (
        problem == "12 batch do not divide by slice=2 x data=4; the next sizes that do are 8 and 16"
    )
    (problem,) = indivisible(("embed",), (10,), PartitionSpec("data"), {"data": 4, "model": 1})
    assert problem == "10 embed do not divide by data=4; the next sizes that do are 8 and 12"


def test_neighbours_surround_the_size():
    assert neighbours(10, 4) == (8, 12)
    assert neighbours(3, 4) == (0, 4)
