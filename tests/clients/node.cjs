// What node-redis and ioredis make of a server: the same conversation through both.
//
// usage: node node.cjs HOST PORT MODULES USER; prints what each read as JSON. MODULES is the
// directory in which node_modules lies.

const { createRequire } = require("node:module");
const path = require("node:path");

const [host, port, modules, user] = process.argv.slice(2);
const load = createRequire(path.join(path.resolve(modules), "package.json"));

async function refusal(asked) {
  try {
    await asked;
  } catch (error) {
    return error.message;
  }
  throw new Error("it was not refused");
}

async function nodeRedis(RESP) {
  const { createClient } = load("redis");
  const client = createClient({ RESP, socket: { host, port: Number(port) } });
  await client.connect();
  await client.flushAll();
  const found = {};
  await client.set("session", "{}", { EX: 100 });
  found.session = [await client.get("session"), (await client.ttl("session")) > 90];
  found.absent = await client.get("absent");
  found.count = [await client.incr("count"), await client.incrBy("count", 4)];
  found.set = await client.hSet("basket", { apple: "1", pear: "2" });
  found.basket = { ...(await client.hGetAll("basket")) };
  found.expiry = await client.hExpire("basket", "pear", 100);
  found.some = await client.hmGet("basket", ["pear", "fig"]);
  found.both = (await client.multi().incr("count").hGet("basket", "apple").exec()).map(String);
  const keys = [];
  for await (const some of client.scanIterator({ MATCH: "[bcs]*" })) keys.push(...[some].flat());
  found.keys = keys.sort();
  found.row = { ...(await client.hGetAll(user)) };
  found.refused = await refusal(client.hSet(user, "total_events", "7"));
  found.unknown = await refusal(client.sendCommand(["LPUSH", "a", "b"]));
  await client.close();
  return found;
}

async function ioRedis() {
  const Redis = load("ioredis");
  const client = new (Redis.default ?? Redis)({ host, port: Number(port) });
  await client.flushall();
  const found = {};
  await client.set("session", "{}", "EX", 100);
  found.session = [await client.get("session"), (await client.ttl("session")) > 90];
  found.absent = await client.get("absent");
  found.count = [await client.incr("count"), await client.incrby("count", 4)];
  found.set = await client.hset("basket", { apple: "1", pear: "2" });
  found.basket = await client.hgetall("basket");
  found.expiry = await client.hexpire("basket", 100, "FIELDS", 1, "pear");
  found.some = await client.hmget("basket", "pear", "fig");
  const both = await client.multi().incr("count").hget("basket", "apple").exec();
  found.both = both.map(([, value]) => String(value));
  const keys = [];
  for await (const some of client.scanStream({ match: "[bcs]*" })) keys.push(...some);
  found.keys = keys.sort();
  found.row = await client.hgetall(user);
  found.refused = await refusal(client.hset(user, "total_events", "7"));
  found.unknown = await refusal(client.call("LPUSH", "a", "b"));
  client.disconnect();
  return found;
}

async function main() {
  const found = { resp2: await nodeRedis(2), resp3: await nodeRedis(3), ioredis: await ioRedis() };
  process.stdout.write(JSON.stringify(found));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
