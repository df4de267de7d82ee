"""Settings of every test: 8 simulated devices, checked shapes, no silent rank promotion."""

import gc
import importlib.metadata
import os
import pathlib
import sys

import jaxtyping


def _of_shapes(check_types):
    """The decorator that jaxtyping's hook puts on all that we define, for what has shapes in its
    annotations. Of the rest mypy knows as much, and a check of every call was a fifth of all time.
    """

    def jaxtyped(*, typechecker):
        def decorate(defined):
            annotations = repr(getattr(defined, "__annotations__", ""))
            shaped = "jaxtyping." in annotations or "[Array" in annotations  # the second in quotes
            return check_types(defined, typechecker=typechecker) if shaped else defined

        return decorate

    return jaxtyped


# Shapes in signatures are checked while tests run, and only then. The hook sees modules imported
# after it, so nothing of ours is imported above this line.
jaxtyping.jaxtyped = _of_shapes(jaxtyping.jaxtyped)
jaxtyping.install_import_hook("t5x_lite", "beartype.beartype")

from t5x_lite.partitioning import devices  # noqa: E402

# Tests compile much and compute little: faster compilation, slower code.
_FAST_COMPILATION = ["--xla_backend_optimization_level=0"]
# The only branch by version: jax 0.12 ends a process that names a flag it has no more. It can go
# with jax 0.10.
if importlib.metadata.version("jax").startswith("0.10."):
    _FAST_COMPILATION += [
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *_FAST_COMPILATION]).strip()
devices.simulate_cpu_devices(8)

import pytest  # noqa: E402


def pytest_configure(config):
    # Of an entry that another worker is still writing; what is not whole is compiled here too.
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache")


def pytest_collection_finish():
    # TensorFlow, JAX and the tests stay to the end: Python need not look for garbage in them again.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _strict_ranks():
    import jax

    jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(tmp_path_factory, request):
    """What one test has compiled no other compiles again, whichever process it runs in."""
    import jax

    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # pytest-xdist: one folder for all workers
        folder = folder.parent
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


# Linux gives a process 65,530 mappings of memory, and a compiled program takes several: what goes
# beyond dies in the compiler.
_MAPPINGS = pathlib.Path("/proc/self/maps")
_MANY_MAPPINGS = 10_000


@pytest.fixture(scope="module", autouse=True)
def _leaves_room():
    """What a file of tests compiled goes before it is too much for the process; datasets that wait
    in cycles of references, each with its threads, go as well. What is still in use stays out of
    sight of the next collections, which would look through millions of objects again.
    """
    import jax

    yield
    if _MAPPINGS.exists() and _MAPPINGS.read_bytes().count(b"\n") > _MANY_MAPPINGS:
        gc.unfreeze()
        jax.clear_caches()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def two_devices():
    """JAX shows two of the simulated devices: for jobs whose mesh is of no interest, which cost
    less so. That a mesh changes nothing is what tests of meshes are for.
    """
    import jax

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "devices", lambda *words, all=jax.devices: all(*words)[:2])
        yield


@pytest.fixture
def compilations(caplog):
    """A function of the name of a jitted function: how often it was compiled since the last call,
    as JAX itself logs it.
    """
    import jax

    def count(name: str) -> int:
        found = sum(f"Compiling jit({name})" in each.getMessage() for each in caplog.records)
        caplog.clear()
        return found

    with jax.log_compiles():
        yield count


@pytest.fixture(scope="session")
def test_data_dir() -> pathlib.Path:
    """The folder of real data beside the project; tests that need it skip where it is absent."""
    default = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("T5X_LITE_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real test data is not at {folder}: set T5X_LITE_TEST_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def users_shell() -> dict[str, str]:
    """A user's shell: our commands on the path, one device, shapes unchecked. Only the compiler is
    asked for less, as above: half of what a command of a page costs is its compilation.
    """
    environment = dict(os.environ) | {"XLA_FLAGS": " ".join(_FAST_COMPILATION)}
    for name in ("PJRT_NPROC", "JAX_NUM_CPU_DEVICES", "JAX_PLATFORMS"):
        environment.pop(name, None)
    environment["PATH"] = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    return environment


@pytest.fixture(scope="session")
def gpt2_of():
    """(**macros) -> a GPT-2 by its gin file, 64 tokens and 2 layers; every width divides by 8."""
    from t5x_lite import config
    from t5x_lite.model.config import ModelConfig

    def model(**macros):
        sizes = {"VOCAB_SIZE": 64, "MAX_LENGTH": 32, "EMBED_DIM": 32, "MLP_DIM": 64}
        sizes |= {"NUM_HEADS": 8, "HEAD_DIM": 4} | macros
        sizes.setdefault("END_TOKEN", sizes["VOCAB_SIZE"] - 1)
        overrides = [("--gin", f"{name}={value}") for name, value in sizes.items()]
        return config.resolve(ModelConfig, ["models/gpt2/tiny.gin"], overrides=overrides).config

    return model
