"""How much: plans, orders and their screening, payments, subscriptions, and what a customer may use."""
