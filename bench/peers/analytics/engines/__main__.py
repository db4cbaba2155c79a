import importlib
import sys
import time

name, source, result = sys.argv[1:4]
engine = importlib.import_module(f"engines.{name}_engine")
began = time.perf_counter()
engine.run(source, result)
print(time.perf_counter() - began)
