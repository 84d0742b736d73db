"""Which package has a module that is not installed, and the command that installs it."""

from __future__ import annotations

import sys
from pathlib import Path

# Modules whose package on PyPI has another name.
PACKAGES = {
    "azureml_inference_server_http": "azureml-inference-server-http",
    "azureml.contrib.services": "azureml-contrib-services",
    "azureml.core": "azureml-core",
    "azureml.automl": "azureml-automl-runtime",
    "azureml.train": "azureml-train-automl-runtime",
    "azure.ai.ml": "azure-ai-ml",
    "azure.identity": "azure-identity",
    "azure.storage.blob": "azure-storage-blob",
    "azure.keyvault.secrets": "azure-keyvault-secrets",
    "inference_schema": "inference-schema",
    "mlflow": "mlflow",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "PyYAML",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "bs4": "beautifulsoup4",
    "jwt": "PyJWT",
    "google.protobuf": "protobuf",
    "category_encoders": "category_encoders",
    "imblearn": "imbalanced-learn",
    "sentence_transformers": "sentence-transformers",
    "pkg_resources": "setuptools",
    "psycopg2": "psycopg2-binary",
    "Crypto": "pycryptodome",
    "fitz": "PyMuPDF",
    "docx": "python-docx",
    "magic": "python-magic",
    "attr": "attrs",
    "MySQLdb": "mysqlclient",
    "serial": "pyserial",
    "Levenshtein": "python-Levenshtein",
    "faiss": "faiss-cpu",
    "umap": "umap-learn",
}


def package_of(module: str) -> str:
    """The package on PyPI that most likely has `module`."""
    parts = module.split(".")
    for count in range(len(parts), 0, -1):
        found = PACKAGES.get(".".join(parts[:count]))
        if found is not None:
            return found
    return parts[0].replace("_", "-")


def explained(module: str, code: Path, entry: str) -> str:
    """What to do about `module`, which the script `entry` of the folder `code` imports."""
    beside = (code / entry).parent
    first = module.partition(".")[0]
    if beside != code.resolve() and ((beside / f"{first}.py").exists() or (beside / first).is_dir()):
        package = Path(entry).parent.as_posix().replace("/", ".")
        return (
            f"there is no module {module!r} in the code folder; {first} lies beside {entry}, but modules are imported from the "
            f"code folder, on Azure too: write 'from {package} import {first}', or make {Path(entry).parent.as_posix()} the "
            "code folder"
        )
    package = package_of(module)
    return (
        f"the module {module!r} is not installed in {sys.executable}: run '{sys.executable} -m pip install {package}' and "
        f"deploy again, or deploy with an environment that has {package}"
    )
