"""Values that nothing else could write, to be looked for wherever a patient's must not stand."""

# Exact in binary, so that every way to print them shows these digits.
GOOD = {"glucose": 177.0625, "bmi": 44.40625, "diabetes_pedigree": 1.984375, "insulin": 613.3125}
BAD = {
    "glucose": 7177.0625,
    "bmi": 44444.40625,
    "diabetes_pedigree": -1.984375,
    "insulin": -613.3125,
    "age": 5050.0625,
}
NAME = "Canary-Smith"
CANARIES = ("77.0625", "4.40625", "1.984375", "13.3125", "5050.0625", "0.0029296875", NAME)
