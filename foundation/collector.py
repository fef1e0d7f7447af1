"""How often a long-lived process looks for rubbish: objects that only refer to each other."""

import gc


def spare_what_is_loaded() -> None:
    """Call once all code is loaded, before processes fork. What there is by then stays as long as the process: looking
    through it again and again takes a tenth of a task's time, and writes to memory that forked processes share.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)  # new objects at a time; tasks and requests leave few behind
