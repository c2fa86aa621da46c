/** One line per family. */
import type { CommandSpec } from "./command/spec.ts"
import { bitmapCommands } from "./families/bitmap.ts"
import { dumpCommands } from "./families/dump.ts"
import { expiryCommands } from "./families/expiry.ts"
import { genericCommands } from "./families/generic.ts"
import { databaseCommands } from "./families/generic-databases.ts"
import { keyMoveCommands } from "./families/generic-move.ts"
import { objectCommands } from "./families/generic-object.ts"
import { geoCommands } from "./families/geo.ts"
import { geoSearchCommands } from "./families/geo-search.ts"
import { hashFieldCommands } from "./families/hash.ts"
import { hashExpiryCommands } from "./families/hash-expiry.ts"
import { hashExtendedCommands } from "./families/hash-extended.ts"
import { hashImportCommands } from "./families/hash-import.ts"
import { hashReadCommands } from "./families/hash-read.ts"
import { hyperloglogCommands } from "./families/hyperloglog.ts"
import { listCommands } from "./families/list.ts"
import { listBlockingCommands } from "./families/list-blocking.ts"
import { listEditCommands } from "./families/list-edit.ts"
import { listMoveCommands } from "./families/list-move.ts"
import { memberExpiryCommands } from "./families/member-expiry.ts"
import { migrateCommands } from "./families/migrate.ts"
import { scanCommands } from "./families/scan.ts"
import { setCommands } from "./families/set.ts"
import { setAlgebraCommands } from "./families/set-algebra.ts"
import { setExtendedCommands } from "./families/set-extended.ts"
import { setRandomCommands } from "./families/set-random.ts"
import { sortCommands } from "./families/sort.ts"
import { streamCommands } from "./families/stream.ts"
import { streamClaimCommands } from "./families/stream-claim.ts"
import { streamDeleteCommands } from "./families/stream-delete.ts"
import { streamGroupCommands } from "./families/stream-group.ts"
import { streamIdempotencyCommands } from "./families/stream-idempotency.ts"
import { streamInfoCommands } from "./families/stream-info.ts"
import { streamReadCommands } from "./families/stream-read.ts"
import { streamReleaseCommands } from "./families/stream-release.ts"
import { stringCommands } from "./families/string.ts"
import { sortedSetCommands } from "./families/zset.ts"
import { sortedSetAlgebraCommands } from "./families/zset-algebra.ts"
import { sortedSetPopCommands } from "./families/zset-pop.ts"
import { sortedSetRangeCommands } from "./families/zset-range.ts"
import { sortedSetWalkCommands } from "./families/zset-walk.ts"

export const families: readonly (readonly CommandSpec[])[] = [
  stringCommands,
  bitmapCommands,
  hyperloglogCommands,
  genericCommands,
  keyMoveCommands,
  objectCommands,
  dumpCommands,
  migrateCommands,
  expiryCommands,
  scanCommands,
  sortCommands,
  databaseCommands,
  hashFieldCommands,
  hashReadCommands,
  hashExpiryCommands,
  hashExtendedCommands,
  hashImportCommands,
  listCommands,
  listEditCommands,
  listMoveCommands,
  listBlockingCommands,
  setCommands,
  setAlgebraCommands,
  setExtendedCommands,
  setRandomCommands,
  sortedSetCommands,
  sortedSetRangeCommands,
  sortedSetPopCommands,
  sortedSetWalkCommands,
  sortedSetAlgebraCommands,
  memberExpiryCommands,
  geoCommands,
  geoSearchCommands,
  streamCommands,
  streamDeleteCommands,
  streamReadCommands,
  streamGroupCommands,
  streamClaimCommands,
  streamInfoCommands,
  streamIdempotencyCommands,
  streamReleaseCommands,
]
