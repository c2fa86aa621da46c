/** One line per family. */
import type { CommandSpec } from "./command/spec.ts"
import { bitmapCommands } from "./families/bitmap.ts"
import { expiryCommands } from "./families/expiry.ts"
import { genericCommands } from "./families/generic.ts"
import { databaseCommands } from "./families/generic-databases.ts"
import { keyMoveCommands } from "./families/generic-move.ts"
import { objectCommands } from "./families/generic-object.ts"
import { hashFieldCommands } from "./families/hash.ts"
import { hashReadCommands } from "./families/hash-read.ts"
import { hyperloglogCommands } from "./families/hyperloglog.ts"
import { listCommands } from "./families/list.ts"
import { listBlockingCommands } from "./families/list-blocking.ts"
import { listEditCommands } from "./families/list-edit.ts"
import { listMoveCommands } from "./families/list-move.ts"
import { scanCommands } from "./families/scan.ts"
import { setCommands } from "./families/set.ts"
import { setAlgebraCommands } from "./families/set-algebra.ts"
import { setRandomCommands } from "./families/set-random.ts"
import { stringCommands } from "./families/string.ts"

export const families: readonly (readonly CommandSpec[])[] = [
  stringCommands,
  bitmapCommands,
  hyperloglogCommands,
  genericCommands,
  keyMoveCommands,
  objectCommands,
  expiryCommands,
  scanCommands,
  databaseCommands,
  hashFieldCommands,
  hashReadCommands,
  listCommands,
  listEditCommands,
  listMoveCommands,
  listBlockingCommands,
  setCommands,
  setAlgebraCommands,
  setRandomCommands,
]
