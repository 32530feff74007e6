"""What pyproject.toml can't say: a wheel also holds the migrations, the default settings and what
messages name, below pima."""

from setuptools import find_packages, setup

BESIDE = ("migrations.versions", "config", "deploy", "docs", "locks")

setup(
    packages=[*find_packages(include=["jobs", "pima*"]), *(f"pima.{name}" for name in BESIDE)],
    package_dir={f"pima.{name}": name.replace(".", "/") for name in BESIDE},
)
