"""What runs on every mail server: agent, keeper, look-up service and the rendering of their configuration.

Installs alone, knows no Django and nothing of the panel. The panel imports `mailnode.wire` and nothing else.
"""

__version__ = "0.1.0"
