import importlib
import sys
import time

name, *paths = sys.argv[1:]
engine = importlib.import_module(f"engines.{name}")
began = time.perf_counter()
engine.run(*paths)
print(time.perf_counter() - began)
