/**
 * What the tls-* directives ask for, in the terms of the runtime's TLS (BoringSSL): certificates are read, names of
 * protocols and ciphers checked, before a listening socket is touched.
 *
 * Two things differ from OpenSSL: the cipher suites of TLS 1.3 cannot be chosen (their names are checked and otherwise
 * ignored), and neither can the sizes of the session cache. Diffie-Hellman parameters have no use without DHE ciphers.
 */

import { constants } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import type { ConfigValues } from "../config/config.ts"
import type { DirectiveName } from "../config/directives.ts"
import { Refusal } from "../config/refusal.ts"

/** Directives that a new TLS context must be made for. */
export const TLS_DIRECTIVES = [
  "tls-cert-file",
  "tls-key-file",
  "tls-key-file-pass",
  "tls-ca-cert-file",
  "tls-ca-cert-dir",
  "tls-auth-clients",
  "tls-protocols",
  "tls-ciphers",
  "tls-ciphersuites",
  "tls-prefer-server-ciphers",
] as const satisfies readonly DirectiveName[]

/** Wire numbers of the versions (RFC 8446 section 4.2.1, RFC 5246 appendix E), oldest first. */
const PROTOCOLS: readonly { name: string; version: number; exclude: number }[] = [
  { name: "tlsv1", version: 0x0301, exclude: constants.SSL_OP_NO_TLSv1 },
  { name: "tlsv1.1", version: 0x0302, exclude: constants.SSL_OP_NO_TLSv1_1 },
  { name: "tlsv1.2", version: 0x0303, exclude: constants.SSL_OP_NO_TLSv1_2 },
  { name: "tlsv1.3", version: 0x0304, exclude: constants.SSL_OP_NO_TLSv1_3 },
]
const DEFAULT_PROTOCOLS = ["tlsv1.2", "tlsv1.3"]

/** RFC 8446 appendix B.4. */
const CIPHER_SUITES = new Set([
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "TLS_AES_128_CCM_SHA256",
  "TLS_AES_128_CCM_8_SHA256",
])

export type TlsOptions = Bun.TLSOptions & { minVersion: number; maxVersion: number }

/**
 * Reads the files and checks the words. A refusal says what the log should say.
 * That a key belongs to its certificate, or a cipher exists, shows when the options are used.
 */
export function tlsOptions(values: ConfigValues): TlsOptions | Refusal {
  if (values.tlsCertFile === "") return new Refusal("No tls-cert-file configured!")
  if (values.tlsKeyFile === "") return new Refusal("No tls-key-file configured!")
  const asksForCertificate = values.tlsAuthClients !== "no"
  if (asksForCertificate && values.tlsCaCertFile === "" && values.tlsCaCertDir === "") {
    return new Refusal(
      "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or tls-auth-clients are enabled!",
    )
  }
  const protocols = protocolOptions(values.tlsProtocols)
  if (protocols instanceof Refusal) return protocols
  for (const suite of values.tlsCiphersuites.split(":")) {
    if (suite !== "" && !CIPHER_SUITES.has(suite)) {
      return new Refusal(`Failed to configure ciphersuites: unknown suite ${suite}`)
    }
  }
  const cert = readPem("certificate", values.tlsCertFile)
  if (cert instanceof Refusal) return cert
  const key = readPem("private key", values.tlsKeyFile)
  if (key instanceof Refusal) return key
  const ca = authorities(values)
  if (ca instanceof Refusal) return ca
  return {
    cert,
    key,
    ...(values.tlsKeyFilePass === "" ? {} : { passphrase: values.tlsKeyFilePass }),
    ...(ca.length === 0 ? {} : { ca }),
    ...(values.tlsCiphers === "" ? {} : { ciphers: values.tlsCiphers }),
    requestCert: asksForCertificate,
    // Those that need not show a certificate are still refused a bad one, by the listener.
    rejectUnauthorized: values.tlsAuthClients === "yes",
    minVersion: protocols.minVersion,
    maxVersion: protocols.maxVersion,
    secureOptions: protocols.excluded | (values.tlsPreferServerCiphers ? constants.SSL_OP_CIPHER_SERVER_PREFERENCE : 0),
  }
}

/** `TLSv1.2 TLSv1.3` in any case and order; versions in between that are not named are left out. */
function protocolOptions(text: string): { minVersion: number; maxVersion: number; excluded: number } | Refusal {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  const names = words.length === 0 ? DEFAULT_PROTOCOLS : words
  const unknown = names.find(name => !PROTOCOLS.some(protocol => protocol.name === name))
  if (unknown !== undefined) {
    return new Refusal("Invalid tls-protocols specified. Use a combination of TLSv1, TLSv1.1, TLSv1.2, and TLSv1.3.")
  }
  const chosen = PROTOCOLS.filter(({ name }) => names.includes(name))
  const minVersion = chosen[0]!.version
  const maxVersion = chosen.at(-1)!.version
  let excluded = 0
  for (const { name, version, exclude } of PROTOCOLS) {
    if (version > minVersion && version < maxVersion && !names.includes(name)) excluded |= exclude
  }
  return { minVersion, maxVersion, excluded }
}

/** The certificates of tls-ca-cert-file and of every PEM file in tls-ca-cert-dir. */
function authorities(values: ConfigValues): Buffer[] | Refusal {
  const found: Buffer[] = []
  if (values.tlsCaCertFile !== "") {
    const ca = readPem("CA certificate(s) file", values.tlsCaCertFile)
    if (ca instanceof Refusal) return ca
    found.push(ca)
  }
  if (values.tlsCaCertDir !== "") {
    let names: string[]
    try {
      names = readdirSync(values.tlsCaCertDir).sort()
    } catch (error) {
      return unreadable("CA certificate(s) directory", values.tlsCaCertDir, error)
    }
    for (const name of names) {
      const pem = readPem("", join(values.tlsCaCertDir, name))
      if (pem instanceof Refusal || !pem.includes("-----BEGIN CERTIFICATE-----")) continue
      // The hashed names of such a directory are links to the same files.
      if (!found.some(other => other.equals(pem))) found.push(pem)
    }
    if (found.length === 0) return new Refusal(`Failed to configure CA certificate(s): none in ${values.tlsCaCertDir}`)
  }
  return found
}

function readPem(what: string, path: string): Buffer | Refusal {
  try {
    return readFileSync(path)
  } catch (error) {
    return unreadable(what, path, error)
  }
}

function unreadable(what: string, path: string, error: unknown): Refusal {
  return new Refusal(`Failed to load ${what}: ${path}: ${error instanceof Error ? error.message : String(error)}`)
}
