"""Names of what a run has in its workdir, and of what is in its files."""

from __future__ import annotations

CONFIG = "config.json"
RESULT = "result.json"
METRICS = "metrics.jsonl"
TEXT_FEATURES = "text_features.safetensors"
MAPPING = "mapping.csv"
CLASSIFIER = "classifier.safetensors"
FEATURES = "features"
SCAN = "scan.json"
"""What was tried before the run, whose settings have what was chosen."""
DATA = "data.npz"
PREDICTIONS = "test_predictions.npz"
PAGE = "report.html"
LOGGERS = "loggers.json"
"""By which ids the run is known to Weights & Biases and MLflow."""
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"
LOCK = ".lock"
"""Of a run that is being trained; it stays, and means nothing unless it is locked."""
MEMBERS = "members"
"""Among the settings of a sweep: what each of its runs has of its own, as texts."""
REPTILE = "reptile"
"""Among the settings of a start: its tasks, and how it is learned."""
MADE_IN = "made_in"
"""Among what is kept of a run instead of settings, if it was made of parts."""
RESULTS = ({"test_accuracy"}, {"members"}, {"tasks"})
"""What results hold, of runs, sweeps and starts."""
SCANS = ({"prompt", "chosen"},)
"""What scans hold."""
OURS = (
    CONFIG,
    RESULT,
    METRICS,
    TEXT_FEATURES,
    MAPPING,
    CLASSIFIER,
    FEATURES,
    DATA,
    PREDICTIONS,
    LOGGERS,
    CHECKPOINTS,
    TENSORBOARD,
)
