"""From cases to a trained model."""
