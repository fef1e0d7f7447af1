"""What stands under every app and has no models."""
