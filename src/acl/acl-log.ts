/** The latest refusals, for ACL LOG. Refusals that are alike and close in time share an entry. */

import { Denial } from "./access.ts"

const GROUPING_MS_MAX = 60_000
/** How many of the newest entries are looked at for one alike. */
const GROUPING_ENTRIES_MAX = 10

export type AclContext = "toplevel" | "multi" | "lua"

export interface DeniedAccess {
  /** See Denial. */
  denial: number
  context: AclContext
  /** The key, channel or command refused; one character per byte, as is the name. */
  object: string
  username: string
  clientInfo: string
}

export interface AclLogEntry extends DeniedAccess {
  readonly id: number
  count: number
  /** Wall times in ms. */
  readonly createdAt: number
  updatedAt: number
}

export class AclLog {
  /** Oldest first. */
  private entries: AclLogEntry[] = []
  private nextId = 0
  /** Refusals since the start or CONFIG RESETSTAT, by Denial. */
  readonly counts = [0, 0, 0, 0, 0]

  /** @param lengthMax entries to keep */
  add(denied: DeniedAccess, now: number, lengthMax: number): void {
    this.counts[denied.denial]!++
    if (lengthMax > 0) this.group(denied, now)
    if (this.entries.length > lengthMax) this.entries.splice(0, this.entries.length - lengthMax)
  }

  private group(denied: DeniedAccess, now: number): void {
    const oldest = Math.max(0, this.entries.length - GROUPING_ENTRIES_MAX)
    for (let i = this.entries.length - 1; i >= oldest; i--) {
      const entry = this.entries[i]!
      if (!isAlike(entry, denied) || Math.abs(now - entry.updatedAt) > GROUPING_MS_MAX) continue
      entry.clientInfo = denied.clientInfo
      entry.updatedAt = now
      entry.count++
      this.entries.splice(i, 1)
      this.entries.push(entry)
      return
    }
    this.entries.push({ ...denied, id: this.nextId++, count: 1, createdAt: now, updatedAt: now })
  }

  /** Up to `count` entries, newest first. */
  latest(count: number): AclLogEntry[] {
    return this.entries.slice(Math.max(0, this.entries.length - count)).reverse()
  }

  clear(): void {
    this.entries = []
  }

  /** The fields of INFO. */
  statistics(): [name: string, value: number][] {
    const { counts } = this
    return [
      ["acl_access_denied_auth", counts[Denial.Auth]!],
      ["acl_access_denied_cmd", counts[Denial.Command]!],
      ["acl_access_denied_key", counts[Denial.Key]!],
      ["acl_access_denied_channel", counts[Denial.Channel]!],
    ]
  }
}

function isAlike(a: DeniedAccess, b: DeniedAccess): boolean {
  return a.denial === b.denial && a.context === b.context && a.object === b.object && a.username === b.username
}
