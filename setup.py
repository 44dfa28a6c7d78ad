"""Installation of vp_jax: `pip install .`, or with extras, `pip install '.[test]'`."""

import pathlib
import re

import setuptools

SERVE = [
    "httptools>=0.6",
    "prometheus_client>=0.21",
    "python-multipart>=0.0.20",
    "starlette>=0.46",
    "uvicorn>=0.34",
    "uvloop>=0.21; sys_platform != 'win32'",
]

HERE = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "vp_jax/__init__.py").read_text()).group(1)

setuptools.setup(
    name="vp_jax",
    version=VERSION,
    description="Visual prompting of frozen vision models in JAX",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=[
        *setuptools.find_packages(include=["vp_jax", "vp_jax.*"]),
        "vp_jax.configs",
        "vp_jax.configs.methods",
    ],
    package_dir={"vp_jax.configs": "configs"},  # at the top of the tree, where people look
    package_data={
        "vp_jax": ["py.typed"],
        "vp_jax.backbones": ["clip_tiny_weights/*", "source_class_names/*"],
        "vp_jax.data": ["task_class_names/*"],
        "vp_jax.report.page": ["templates/*"],
        "vp_jax.serving": ["page.html"],
    },
    install_requires=[
        "absl-py>=2.1",
        "array_record>=0.8",
        "flax>=0.12",
        "ftfy>=6.2",
        "grain>=0.2.12",
        "huggingface_hub>=1.0",
        "importlib_resources>=6.0",  # tensorflow-datasets 4.9.10 needs it and does not say so
        "jax>=0.10",
        "jinja2>=3.1",
        "matplotlib>=3.9",
        "ml_collections>=1.1",
        "numpy>=2.0",
        "optax>=0.2.5",
        "orbax-checkpoint>=0.12",
        "pillow>=11.0",
        "safetensors>=0.5",
        "scikit-learn>=1.5",
        "tensorboardX>=2.6.2",
        "tensorflow-datasets>=4.9.10",
        "tokenizers>=0.22",
        "threadpoolctl>=3.1",
        "tqdm>=4.66",
    ],
    extras_require={
        "cuda": ["jax[cuda13]>=0.10"],
        "tpu": ["jax[tpu]>=0.10"],
        "data": ["tensorflow-cpu>=2.20"],  # to prepare most of tfds's datasets, not to read them
        "onnx": [  # what jax2onnx needs; itself by --no-deps: it wants an orbax older than ours
            *("dm-pix>=0.4.4", "einops>=0.8.1", "equinox>=0.13.1", "netron>=9.2.0"),
            *("onnx>=1.20.1", "onnx-ir>=0.2.1", "onnxruntime>=1.24.1", "orbax-export>=0.0.6"),
        ],
        "video": ["av>=14.0"],  # to take the middle frames of UCF101's videos
        "serve": SERVE,
        "load": ["aiohttp>=3.10", "psutil>=6.0"],  # for experiments that ask a server
        "browser": ["axe-playwright-python>=0.1.4"],  # to test the page; needs a Chromium
        "test": [
            *SERVE,
            "av>=14.0",
            "dill>=0.3.8",  # tfds.testing imports it and does not say so
            "ipykernel>=7.0",  # notebooks are run, as by nbclient
            "mypy>=2.4",
            "nbclient>=0.10",
            "pytest>=8.0",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
            "setuptools>=77",  # a test builds what is installed, as pip does
            "tensorflow-cpu>=2.20",  # tfds's own test of builders needs it, nothing else does
            "types-tqdm>=4.66",
        ],
        "wandb": ["wandb>=0.19.10"],  # for config.logger, as the next
        "mlflow": ["mlflow-skinny>=3.0"],
        "parity": ["open_clip_torch>=3.0", "timm>=1.0", "torch>=2.6", "transformers>=4.57"],
    },
)
