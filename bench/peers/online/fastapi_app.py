"""A feature service as teams write it first: FastAPI before Redis, one hash a user."""

import os

import redis.asyncio as redis
from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse

app = FastAPI()
store = redis.Redis(port=int(os.environ["REDIS_PORT"]), decode_responses=True)


def typed(text: str):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


@app.get("/features/{user_id}")
async def features(user_id: str):
    row = await store.hgetall(f"user:{user_id}")
    if not row:
        raise HTTPException(404, f"no user {user_id}")
    return JSONResponse({"user_id": user_id, "features": {name: typed(text) for name, text in row.items()}})
