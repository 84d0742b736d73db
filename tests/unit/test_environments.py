"""What models ask of their Python, what of it this one lacks, and how a private environment comes to be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from opsml_cli.domain.deployment import CodeSource, EnvironmentKind, EnvironmentSource
from opsml_cli.domain.endpoint import DeploySpec
from opsml_cli.domain.errors import InvalidInputError, NotFoundError, UsageError
from opsml_cli.local.environments import choosing, conda, interpreters, wanted
from opsml_cli.local.environments.unmet import unmet
from opsml_cli.local.environments.wanted import Wanted

HERE = sys.version_info[:2]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("entry", "requirement"),
    [
        ("numpy", "numpy"),
        ("numpy=1.21", "numpy==1.21.*"),
        ("numpy==1.21.2", "numpy==1.21.2"),
        ("numpy=1.21.2=py39h20f2e39_0", "numpy==1.21.2"),
        ("numpy 1.21.*", "numpy==1.21.*"),
        ("numpy=1.21*", "numpy==1.21.*"),
        ("numpy 1.21.2 py39_0", "numpy==1.21.2"),
        ("numpy>=1.20,<2", "numpy>=1.20,<2"),
        ("numpy >=1.20, <2", "numpy>=1.20,<2"),
        ("conda-forge::scikit-learn=1.3", "scikit-learn==1.3.*"),
        ("conda-forge/linux-64::numpy", "numpy"),
        ("pytorch::pytorch=2.1.0", "torch==2.1.0.*"),
        ("py-xgboost~=1.7", "xgboost~=1.7"),
        ("numpy[version='>=1.20']", "numpy>=1.20"),
        ("matplotlib-base", "matplotlib"),
        ("pip=21.2", None),
        ("cudatoolkit=11.3", None),
        ("r-base=4.1", None),
        ("libgcc-ng", None),
    ],
)
def test_a_conda_package_has_its_name_and_version_of_pypi(entry: str, requirement: str | None) -> None:
    found = conda.parse(entry)
    assert found is not None
    assert found.requirement == requirement


def test_a_conda_file_gives_python_packages_and_what_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "more.txt", "idna>=3  # names\n\n")
    path = write(
        tmp_path / "conda.yml",
        """
name: churn
channels: [conda-forge, defaults]
dependencies:
  - python=3.10.6
  - pip
  - numpy=1.26
  - cudatoolkit=11
  - pip:
      - six==1.16.0
      - -r more.txt
      - ./wheels/own-1.0-py3-none-any.whl
      - --extra-index-url https://packages.example/simple
""",
    )
    found = wanted.read(path)
    own = str(tmp_path / "wheels" / "own-1.0-py3-none-any.whl")
    assert found.lines == ("numpy==1.26.*", "six==1.16.0", "idna>=3", own, "--extra-index-url https://packages.example/simple")
    assert found.python == (3, 10)
    assert ["cudatoolkit" in note for note in found.notes] == [True]


def test_requirements_files_that_name_one_another_are_read_and_never_for_ever(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "\ufeffsix\n-r sub/b.txt\n--no-binary :all:\n-e ./own\n")
    write(tmp_path / "sub" / "b.txt", "idna \\\n  >=3\n-c limits.txt\n")
    found = wanted.read(tmp_path / "a.txt")
    limits, own = tmp_path / "sub" / "limits.txt", tmp_path / "own"
    assert found.lines == ("six", "idna    >=3", f"-c {limits}", "--no-binary :all:", f"-e {own}")
    write(tmp_path / "sub" / "b.txt", "-r ../a.txt\n")
    with pytest.raises((InvalidInputError, NotFoundError)):
        wanted.read(tmp_path / "a.txt")
    with pytest.raises(NotFoundError, match=r"none\.txt"):
        wanted.read(tmp_path / "none.txt")


@pytest.mark.parametrize("text", ["[1]", "dependencies: 3", "dependencies: [{conda: [x]}]", "dependencies: ['!!']", "a: ["])
def test_a_conda_file_that_is_none_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"conda\.yml"):
        wanted.read(write(tmp_path / "conda.yml", text))


def test_an_mlflow_folder_says_what_it_wants(tmp_path: Path) -> None:
    assert wanted.of_model(tmp_path) is None
    write(tmp_path / "conda.yaml", "dependencies: [python=3.9.1, {pip: [mlflow==2.9.2]}]")
    found = wanted.of_model(tmp_path)
    assert found is not None
    assert (found.lines, found.python) == (("mlflow==2.9.2",), (3, 9))
    write(tmp_path / "requirements.txt", "mlflow==3.0\n")
    write(tmp_path / "python_env.yaml", "python: 3.12.1\nbuild_dependencies: [pip]\ndependencies: ['-r requirements.txt']\n")
    found = wanted.of_model(tmp_path)
    assert found is not None
    assert (found.lines, found.python) == (("mlflow==3.0",), (3, 12))


def test_what_is_unmet_is_listed_with_what_is_there() -> None:
    here = {"six": "1.16.0", "idna": "3.10", "mlflow-skinny": "3.17.2", "odd": "what?"}
    lines = (
        "six==1.16.0 --hash=sha256:00",
        "idna<3",
        "none-such>=1",
        "mlflow>=3",
        'old; python_version < "3"',
        "odd==1",
        "--pre",
        "own @ file:///x",
    )
    found = unmet(Wanted(lines, (HERE[0], HERE[1] + 1), "x"), here.get)
    assert [str(each) for each in found] == [
        f"python==3.{HERE[1] + 1} (here: 3.{HERE[1]})",
        "idna<3 (here: 3.10)",
        "none-such>=1 (not installed)",
        "odd==1 (here: what?)",
    ]
    assert unmet(Wanted(("pytest", "packaging>=1"), HERE, "x")) == []


def test_the_python_that_is_asked_for_or_the_nearest_with_a_word() -> None:
    assert interpreters.choose(None).version == HERE
    assert interpreters.choose(HERE).note is None
    for asked in ((3, 6), (3, 19), (2, 7)):
        found = interpreters.choose(asked)
        assert found.version >= interpreters.OLDEST
        assert found.note is not None
        assert "{}.{}".format(*asked) in found.note


def spec(source: EnvironmentSource | None, folder: Path | None = None) -> DeploySpec:
    code = CodeSource(str(folder), "score.py") if folder is not None else None
    return DeploySpec(model=None, endpoint="e", deployment="blue", code=code, environment=source)


def test_an_environment_is_that_which_is_asked_for(tmp_path: Path) -> None:
    assert choosing.packages_of(spec(None, tmp_path), None) == choosing.Packages()
    assert choosing.packages_of(spec(EnvironmentSource(EnvironmentKind.CURRENT), tmp_path), None) == choosing.Packages()
    named = choosing.packages_of(
        spec(EnvironmentSource(EnvironmentKind.NAMED, reference="azureml:curated@latest"), tmp_path), None
    )
    assert named.python is None
    assert "azureml:curated@latest" in named.notes[0]
    met = write(tmp_path / "conda.yml", "dependencies: [python=3.10, {pip: [packaging, azureml-inference-server-http]}]")
    inline = EnvironmentSource(EnvironmentKind.INLINE, image="ubuntu:22.04", file=str(met))
    assert choosing.packages_of(spec(inline, tmp_path / "src"), None) == choosing.Packages()
    isolated = EnvironmentSource(EnvironmentKind.ISOLATED)
    with pytest.raises(UsageError, match="which packages"):
        choosing.packages_of(spec(isolated, tmp_path / "src"), None)
