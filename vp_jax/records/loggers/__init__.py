"""What follows a run beside its own files: TensorBoard's last page, Weights & Biases, MLflow."""
