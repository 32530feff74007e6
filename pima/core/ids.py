"""Which ids a patient may be given, so that the database's counter, which goes on behind them, never runs out."""

LARGEST_GIVEN_ID = 2**62
"""Files and other writers give ids up to here."""
LARGEST_ID = 2**62 + 2**61
"""The counter draws ids up to here: two quintillions behind the largest given one."""
BELOW_ALL_IDS = -(2**63)
"""Where a walk over rows begins, since SQLite can be told to check no condition: an id may then be below 1."""
