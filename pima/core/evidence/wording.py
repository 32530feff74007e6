"""How a person reads a model's evidence: the report and the card alike."""

FIGURES = {
    "auroc": "area under ROC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_intercept": "calibration intercept",
    "calibration_slope": "calibration slope",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "positive_predictive_value": "positive predictive value",
    "negative_predictive_value": "negative predictive value",
}
"""By their keys in the document."""
TABLED_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Those of net benefit that stand in a table."""
