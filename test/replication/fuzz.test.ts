/**
 * Commands of all families at random, scripts and functions among them, keys and fields that expire meanwhile, clients that wait,
 * links that break: a replica, and the replica of the replica, have the same data to the last bit, and their append-only files as
 * well. BUNDIS_FUZZ=100000 runs longer.
 */
import { expect, test } from "bun:test"
import { Client } from "../support/client.ts"
import { until } from "../support/condition.ts"
import { Random, runSeed } from "../support/random.ts"
import { breakLink, expectEqualData, startFollowing, startNode } from "./kit.ts"
import { allCommands } from "./mixed-commands.ts"

const ROUNDS = Math.ceil(Number(process.env.BUNDIS_FUZZ ?? 600) / 300)

test(
  "the same data everywhere, whatever was done",
  async () => {
    const random = new Random(runSeed)
    await using master = await startNode()
    await using middle = await startFollowing(master, { appendonly: "yes", "auto-aof-rewrite-percentage": "0" })
    await using last = await startFollowing(master, {}, middle)
    for (let round = 0; round < ROUNDS; round++) {
      await using a = await Client.connect(master.port)
      await using b = await Client.connect(master.port)
      await using waiting = await Client.connect(master.port)
      waiting.sendCommand("BLMOVE", "list1", "list2", "LEFT", "RIGHT", "0.5")
      waiting.sendCommand("BZPOPMIN", "zset1", "zset2", "0.5")
      for (let i = 0; i < 3; i++) {
        await Promise.all([a.pipeline(allCommands(random, 50)), b.pipeline(allCommands(random, 50))])
        if (random.oneIn(3)) await breakLink(random.pick([middle, last]))
      }
      await expectEqualData(master, middle, last)
    }
    const digest = await master.digest()
    await until(async () => (await middle.info("persistence")).aof_rewrite_in_progress === "0")
    expect(await middle.call("DEBUG", "LOADAOF")).toBe("OK")
    // What has expired meanwhile may be gone on one side, and not yet on the other.
    if ((await master.digest()) === digest) await expectEqualData(master, middle)
  },
  60_000 + ROUNDS * 2000,
)
