/** One connection to bundis and one to the oracle, to be sent the same things. */
import { Client } from "./client.ts"
import { sharedOracle } from "./oracle.ts"
import { startSubject } from "./subject.ts"

export async function connectBoth(resp: 2 | 3) {
  const oracle = await sharedOracle()
  const subject = await startSubject()
  const ours = await Client.connect(subject.port, { resp })
  const theirs = await Client.connect(oracle.port, { resp })
  return {
    ours,
    theirs,
    async [Symbol.asyncDispose]() {
      ours.close()
      theirs.close()
      await subject[Symbol.asyncDispose]()
    },
  }
}
