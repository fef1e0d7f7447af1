"""The local stack and its stand-ins for services on the internet; examples for a real installation."""
