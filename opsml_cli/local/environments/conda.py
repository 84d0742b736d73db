"""Packages of a conda file under the names that PyPI gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass

IMPLIED = frozenset(
    {"python", "pip", "setuptools", "wheel", "nomkl", "blas", "mkl", "openblas", "_libgcc_mutex", "_openmp_mutex"}
)

# Where PyPI's name is another.
_NAMES = {
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost",
    "tensorflow-base": "tensorflow",
    "tensorflow-gpu": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "matplotlib-base": "matplotlib",
    "opencv": "opencv-python-headless",
    "py-opencv": "opencv-python-headless",
    "msgpack-python": "msgpack",
    "pytables": "tables",
    "ruamel_yaml": "ruamel.yaml",
    "python-graphviz": "graphviz",
    "python-snappy": "python-snappy",
    "python-xxhash": "xxhash",
    "python-lmdb": "lmdb",
    "python-flatbuffers": "flatbuffers",
    "importlib-metadata": "importlib-metadata",
    "importlib_metadata": "importlib-metadata",
    "pyarrow-core": "pyarrow",
    "numpy-base": "numpy",
    "dask-core": "dask",
    "mlflow-ui": "mlflow",
    "seaborn-base": "seaborn",
    "plotly_express": "plotly-express",
    "huggingface_hub": "huggingface-hub",
    "umap": "umap-learn",
}

_OTHERS = frozenset(
    {
        "cudatoolkit", "cudnn", "nccl", "libgcc", "libgcc-ng", "libstdcxx-ng", "libgomp", "gcc", "gxx", "gfortran",
        "openmpi", "mpich", "nodejs", "git", "git-lfs", "curl", "wget", "make", "cmake", "openjdk", "unixodbc", "ffmpeg",
        "ca-certificates", "openssl", "sqlite", "tk", "xz", "zlib", "zstd", "readline", "ncurses", "libffi", "bzip2",
        "libxml2", "libsndfile", "graphviz", "libopencv", "llvm-openmp", "intel-openmp", "liblapack", "libblas",
        "libcblas", "lightgbm-cli", "pandoc", "poppler", "tesseract", "gdal", "geos", "proj", "hdf5", "libpq",
        "postgresql", "freetype", "libpng", "libjpeg-turbo", "jpeg", "compilers", "toolchain",
    }
)  # fmt: skip
_PREFIXES = ("r-", "cuda-", "gcc_", "gxx_", "ld_impl_", "libcu", "lib-", "sysroot_", "xorg-", "font-", "perl", "bioconductor-")

_SPEC = re.compile(r"(?:[\w.\-/]+::)?([A-Za-z0-9_][\w.\-]*)\s*(.*)")


@dataclass(frozen=True, slots=True)
class CondaPackage:
    """`version` as conda writes it ("" for any)."""

    name: str
    version: str

    @property
    def requirement(self) -> str | None:
        """As pip takes it; None for what is no Python package."""
        if self.name in IMPLIED or self.name in _OTHERS or self.name.startswith(_PREFIXES):
            return None
        return _NAMES.get(self.name, self.name) + _specifier(self.version)


def parse(entry: str) -> CondaPackage | None:
    """Of `channel::name=1.2=build`, `name>=1,<2`, `name 1.2.*`, `name[version='>=1']`. None for what is none of these."""
    entry = re.sub(r"\s+#.*$", "", entry.strip())
    bracket = re.fullmatch(r"(.*?)\[(.*)\]", entry)
    if bracket is not None:
        version = re.search(r"version\s*=\s*['\"]?([^'\",\]]+(?:,[^'\"\]=]+)?)['\"]?", bracket[2])
        entry = bracket[1] + (f" {version[1]}" if version else "")
    found = _SPEC.fullmatch(entry.strip())
    return CondaPackage(found[1].lower(), found[2].strip()) if found else None


def _specifier(version: str) -> str:
    if version in ("", "*", "=*"):
        return ""
    parts = [part.strip() for part in version.split(",")]
    return ",".join(each for each in map(_one, parts) if each)


def _one(part: str) -> str:
    compared = re.match(r"(>=|<=|!=|~=|>|<)\s*(.+)", part)
    if compared is not None:
        return compared[1] + compared[2].strip()
    exact = part.startswith("==")
    fuzzy = part.startswith("=") and not exact
    words = re.split(r"[=\s]+", part.lstrip("= "))  # a version, and perhaps a build that PyPI knows nothing of
    number = words[0]
    if number in ("", "*"):
        return ""
    if number.endswith("*"):
        return f"=={number}" if number.endswith(".*") else f"=={number[:-1]}.*"
    return f"=={number}.*" if fuzzy and len(words) == 1 else f"=={number}"
