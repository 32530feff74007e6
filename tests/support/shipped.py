"""What the project ships, and what the tests take for sound: its rows, its features, one row, a
salt."""

from pathlib import Path

from pima.settings.reading import SHIPPED as SHIPPED_DECLARATION
from pima.settings.sections import HoldoutSettings

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "pima" / "data" / "pima.csv"
FEATURES = SHIPPED_DECLARATION.features
FEATURE_NAMES = SHIPPED_DECLARATION.names
SALT = "a salt for tests"
HOLDOUT = HoldoutSettings(salt=SALT)
SOUND = {
    "pregnancies": 6,
    "glucose": 148,
    "blood_pressure": 72,
    "skin_thickness": 35,
    "insulin": 0,
    "bmi": 33.6,
    "diabetes_pedigree": 0.627,
    "age": 50,
}
