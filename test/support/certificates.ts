/** Certificates for tests of TLS, made with the openssl program: an authority, what it signed, and a stranger. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"

export const opensslAvailable = Bun.which("openssl") !== null

export const KEY_PASS = "open sesame"

/** Makes in `dir`: ca.crt; server, client, renewed, nameless (.crt and .key); locked.key (server.key, encrypted); stranger.crt/.key. */
export function makeCertificates(dir: string): (name: string) => string {
  const path = (name: string) => join(dir, name)
  const openssl = (...args: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args], { cwd: dir, stderr: "pipe" })
    if (exitCode !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`)
  }
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  const selfSigned = (name: string, subject: string) =>
    openssl("req", "-x509", ...newKey, "-keyout", `${name}.key`, "-out", `${name}.crt`, "-days", "30", "-subj", subject)
  selfSigned("ca", "/CN=Authority")
  selfSigned("stranger", "/CN=Stranger")
  writeFileSync(path("names.cnf"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
  for (const name of ["server", "client", "renewed", "nameless"]) {
    openssl("req", ...newKey, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`)
    const sign = ["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
    const names = name === "nameless" ? [] : ["-extfile", "names.cnf"]
    openssl(...sign, ...names, "-out", `${name}.crt`, "-days", "30")
  }
  openssl("ec", "-aes256", "-in", "server.key", "-out", "locked.key", "-passout", `pass:${KEY_PASS}`)
  return path
}
