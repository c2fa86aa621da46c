/** The link to a master over TLS. */
import { expect, test } from "bun:test"
import { makeCertificates, opensslAvailable } from "../support/certificates.ts"
import { until } from "../support/condition.ts"
import { freePort } from "../support/free-port.ts"
import { TempDir } from "../support/temp-dir.ts"
import { expectEqualData, startNode } from "./kit.ts"

test.skipIf(!opensslAvailable)("a replica shows its certificate, and looks at the master's", async () => {
  await using dir = new TempDir()
  const path = makeCertificates(dir.path)
  const files = (name: string, authority = "ca") => ({
    "tls-cert-file": path(`${name}.crt`),
    "tls-key-file": path(`${name}.key`),
    "tls-ca-cert-file": path(`${authority}.crt`),
  })
  const tlsPort = freePort()
  await using master = await startNode({ ...files("server"), "tls-port": tlsPort, "tls-replication": "yes" })
  await master.call("SET", "k", "v".repeat(100_000))
  await using replica = await startNode({ ...files("client"), "tls-replication": "yes" })
  await replica.follow({ port: tlsPort })
  await expectEqualData(master, replica)
  await master.call("INCR", "n")
  await expectEqualData(master, replica)
  // For whom the master's certificate was made does not matter.
  const namelessPort = freePort()
  await using nameless = await startNode({ ...files("nameless"), "tls-port": namelessPort, "tls-replication": "yes" })
  await using follower = await startNode({ ...files("nameless"), "tls-replication": "yes" })
  await follower.follow({ port: namelessPort })
  await expectEqualData(nameless, follower)
  // A master that the replica's authority has not signed, and a replica that the master's has not.
  await using distrustful = await startNode({ ...files("client", "stranger"), "tls-replication": "yes" })
  await distrustful.follow({ port: tlsPort })
  await until(() => distrustful.logged("Error condition on socket for SYNC: self signed certificate"))
  await using strange = await startNode({ ...files("stranger"), "tls-replication": "yes" })
  await strange.follow({ port: tlsPort })
  await until(() => strange.logged("Error condition on socket for SYNC"))
  expect(master.replication.replicas.all.size).toBe(1)
})
