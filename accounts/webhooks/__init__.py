"""Webhooks: what is told (`events`), to whom (`targets`), and how it gets there (`sending`); its pages."""
