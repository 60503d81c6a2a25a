"""Ray on this machine, or a Ray cluster that is there: how both are met.

Import this before Ray: it sets what Ray reads when it is imported, here and in its processes.
"""

import os

# Processes of a cluster of our own are as important as the command itself; Ray sets them back by
# 15, so that other work starves them.
os.environ.setdefault("RAY_worker_niceness", "0")
# Ray's C++ side writes to the terminal that a restart might fail which does not.
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
# Nor does it need to tell on stdout that a worker died, for others go on with its work, or that Ray
# Serve ends.
os.environ.setdefault(
    "RAY_DEDUP_LOGS_SKIP_REGEX", r"A worker died or was killed|Task ServeController\."
)
# On a busy machine the five seconds that Ray Serve gives its HTTP process to start are too few,
# and it starts another, again and again.
os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "60")


def connect(address: str | None = None, **own) -> None:
    """Start Ray, without its logs; `ray.shutdown` ends it.

    Args:
        address: of a cluster, such as `"auto"`; None starts one on this machine, which ends with
            this process.
        **own: of `ray.init`, for a cluster on this machine.

    Raises:
        ConnectionError: if there is no such cluster.
    """
    import ray

    own = {} if address else {"include_dashboard": False, **own}
    ray.init(address or "local", logging_level="error", log_to_driver=False, **own)
