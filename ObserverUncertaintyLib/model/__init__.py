"""What a model is, without its network: settings, preprocessing, description, device."""
