"""What a no-op task costs an executor, in batches of 64: one JSON line."""
import json
import pickle
import time

import cloudpickle
from harness import Zygote

BATCHES, SIZE = 2000, 64


def main():
    zygote = Zygote()
    executor = zygote.spawn()
    executor.function(1, cloudpickle.dumps(lambda: None))
    batch = [pickle.dumps(((), {}), 4)] * SIZE
    executor.tasks(1, batch)
    executor.results(SIZE)
    cpu, begun = executor.cpu_seconds(), time.perf_counter()
    for _ in range(BATCHES):
        executor.tasks(1, batch)
        executor.results(SIZE)
    tasks = BATCHES * SIZE
    print(json.dumps({"bench": "executor-noop", "batch": SIZE, "tasks": tasks, "executor_cpu_us": round((executor.cpu_seconds() - cpu) / tasks * 1e6, 2),
                      "wall_us": round((time.perf_counter() - begun) / tasks * 1e6, 2)}))
    executor.kill()
    zygote.close()


if __name__ == "__main__":
    main()
