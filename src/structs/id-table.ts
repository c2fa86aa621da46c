/**
 * Id table: rows of 32-bit words ordered by stream id, for pending entries lists.
 *
 * Entries are mostly delivered in id order and acknowledged anywhere, so rows are packed into sorted pages below an
 * id directory: lookup, insert and delete are two binary searches and a move within one page.
 *
 *   page   words: | ms high | ms low | seq high | seq low | payload ... |  one row of `stride` words per id, ascending
 *
 * Invariants
 * 1. No page is empty; a page has at most PAGE_WORDS_MAX words. Rows that come in ascending order leave full pages.
 * 2. Copy-on-write: pages carry the epoch they were made in. fork() gives a table that goes on while this one stays as
 *    it is, for as long as nobody writes to it any more.
 * 3. `account.bytes` grows and shrinks with what the table allocates.
 */

import { IdDirectory, Place } from "./id-directory.ts"
import type { StreamId } from "./stream-id.ts"

const ID_WORDS = 4
const PAGE_WORDS_MAX = 1024
const FIRST_PAGE_ROWS = 4
/** What the runtime takes for a page's objects, apart from the contents of the array. */
const PAGE_OVERHEAD_BYTES = 168
const TABLE_OVERHEAD_BYTES = 160

/** Where several structures note together what they allocate. */
export interface Account {
  bytes: number
}

class Page {
  epoch: number
  first: StreamId
  count = 0
  words: Uint32Array

  constructor(epoch: number, first: StreamId, words: Uint32Array) {
    this.epoch = epoch
    this.first = first
    this.words = words
  }
}

const place = new Place()
const otherPlace = new Place()
const NO_WORDS = new Uint32Array(0)

/** Number of rows of the page below the id. */
function lowerBound(page: Page, stride: number, id: StreamId): number {
  const { words } = page
  const { msHigh, msLow, seqHigh, seqLow } = id
  let low = 0
  let high = page.count
  while (low < high) {
    const middle = (low + high) >>> 1
    const at = middle * stride
    const order = words[at]! - msHigh || words[at + 1]! - msLow || words[at + 2]! - seqHigh || words[at + 3]! - seqLow
    if (order < 0) low = middle + 1
    else high = middle
  }
  return low
}

function rowIs(page: Page, stride: number, row: number, id: StreamId): boolean {
  if (row >= page.count) return false
  const { words } = page
  const at = row * stride
  return (
    words[at + 3]! === id.seqLow &&
    words[at + 1]! === id.msLow &&
    words[at]! === id.msHigh &&
    words[at + 2]! === id.seqHigh
  )
}

function pageBytes(page: Page): number {
  return PAGE_OVERHEAD_BYTES + page.words.byteLength
}

export class IdTable {
  /** Number of rows. */
  length = 0
  readonly stride: number
  readonly account: Account
  /** After find() and insert(): the row's page words, and where the row begins. Read-only unless insert() gave them. */
  words: Uint32Array = NO_WORDS
  at = 0
  /** Internal: the pages. */
  readonly pages: IdDirectory<Page>
  private readonly rowsMax: number

  constructor(account: Account, stride: number, epoch: number) {
    this.account = account
    this.stride = stride
    this.rowsMax = Math.floor(PAGE_WORDS_MAX / stride)
    this.pages = new IdDirectory(epoch)
    account.bytes += TABLE_OVERHEAD_BYTES
  }

  /** A table that takes over from this one, which must not be written to any more. O(rows / 10,000) or so. */
  fork(epoch: number): IdTable {
    const fork = new IdTable(this.account, this.stride, epoch)
    this.account.bytes -= TABLE_OVERHEAD_BYTES
    fork.pages.spans = this.pages.spans.slice()
    fork.pages.bytes = this.pages.bytes
    fork.length = this.length
    return fork
  }

  /** Points `words` and `at` to the row of the id; false when there is none. O(log n). */
  find(id: StreamId): boolean {
    if (!this.pages.find(id, place)) return false
    const page = this.pages.at(place)!
    const row = lowerBound(page, this.stride, id)
    if (!rowIs(page, this.stride, row, id)) return false
    this.words = page.words
    this.at = row * this.stride
    return true
  }

  /**
   * Makes a row for the id if there is none, and points `words` and `at` to it, writable. True when the row is new; its
   * payload is then zeros. O(log n).
   */
  insert(id: StreamId): boolean {
    const { stride } = this
    if (!this.pages.find(id, place)) {
      this.addPage(this.newPage(id, FIRST_PAGE_ROWS), false)
      return true
    }
    let page = this.own()
    let row = lowerBound(page, stride, id)
    if (rowIs(page, stride, row, id)) {
      this.words = page.words
      this.at = row * stride
      return false
    }
    if (page.count === this.rowsMax) {
      if (row === page.count) {
        // Ascending input leaves full pages behind.
        this.addPage(this.newPage(id, this.rowsMax), true)
        return true
      }
      const right = this.halve(page)
      if (id.compare(right.first) >= 0) {
        page = right
        row -= this.rowsMax >>> 1
      }
    }
    if (row === 0 && id.compare(page.first) < 0) page.first = id.clone()
    this.openRow(page, row, id)
    return true
  }

  /** Takes the row of the id out; false when there is none. O(log n). */
  delete(id: StreamId): boolean {
    if (!this.find(id)) return false
    this.deleteFound()
    return true
  }

  /** Takes out the row that find() has just found; no other table has been used since. */
  deleteFound(): void {
    const { stride } = this
    const found = this.pages.at(place)!
    const row = this.at / stride
    this.length--
    const directoryBytes = this.pages.bytes
    if (found.count === 1) {
      this.account.bytes -= pageBytes(found)
      this.pages.remove(place)
    } else {
      const page = this.own()
      page.words.copyWithin(row * stride, (row + 1) * stride, page.count * stride)
      page.count--
      if (page.count * 4 < this.rowsMax && !this.join(page, 1) && !this.join(page, -1)) this.shrink(page)
    }
    this.account.bytes += this.pages.bytes - directoryBytes
    this.words = NO_WORDS
  }

  /** Bytes this table has in the account. O(pages): for dropping a table. */
  countBytes(): number {
    let bytes = TABLE_OVERHEAD_BYTES + this.pages.bytes
    for (const span of this.pages.spans) for (const page of span.chunks) bytes += pageBytes(page)
    return bytes
  }

  private newPage(id: StreamId, rows: number): Page {
    const page = new Page(this.pages.epoch, id.clone(), new Uint32Array(rows * this.stride))
    this.account.bytes += pageBytes(page)
    this.openRow(page, 0, id)
    return page
  }

  /** Enters a page behind the place (or as the first). */
  private addPage(page: Page, behind: boolean): void {
    const before = this.pages.bytes
    if (behind) this.pages.insertAfter(place, page)
    else this.pages.append(page)
    this.account.bytes += this.pages.bytes - before
  }

  /** Opens a row in an owned page that is not full, writes the id, and points to it. */
  private openRow(page: Page, row: number, id: StreamId): void {
    const { stride } = this
    const at = row * stride
    const used = page.count * stride
    if (used === page.words.length) {
      const words = new Uint32Array(Math.min(page.count * 2, this.rowsMax) * stride)
      words.set(page.words)
      this.account.bytes += words.byteLength - page.words.byteLength
      page.words = words
    }
    const { words } = page
    if (at < used) words.copyWithin(at + stride, at, used)
    words[at] = id.msHigh
    words[at + 1] = id.msLow
    words[at + 2] = id.seqHigh
    words[at + 3] = id.seqLow
    for (let i = ID_WORDS; i < stride; i++) words[at + i] = 0
    page.count++
    this.length++
    this.words = words
    this.at = at
  }

  /** Moves the upper half of a full, owned page at the place into a new one. */
  private halve(page: Page): Page {
    const { stride } = this
    const kept = this.rowsMax >>> 1
    const from = kept * stride
    const right = new Page(this.pages.epoch, page.first.clone(), new Uint32Array(this.rowsMax * stride))
    right.words.set(page.words.subarray(from))
    right.first.setWords(right.words[0]!, right.words[1]!, right.words[2]!, right.words[3]!)
    right.count = page.count - kept
    page.count = kept
    this.account.bytes += pageBytes(right)
    this.addPage(right, true)
    return right
  }

  /** The page at the place, writable. */
  private own(): Page {
    const page = this.pages.at(place)!
    if (page.epoch === this.pages.epoch) return page
    const clone = new Page(this.pages.epoch, page.first, page.words.slice())
    clone.count = page.count
    this.pages.replace(place, clone)
    return clone
  }

  /** Joins the owned page at the place with a neighbour in its span when both fit well. */
  private join(page: Page, step: number): boolean {
    otherPlace.span = place.span
    otherPlace.chunk = place.chunk + step
    const other = this.pages.at(otherPlace)
    if (other === undefined) return false
    const count = page.count + other.count
    if (count * 4 > this.rowsMax * 3) return false
    const { stride } = this
    const left = step < 0 ? other : page
    const right = step < 0 ? page : other
    const joined = new Page(this.pages.epoch, left.first, new Uint32Array(this.rowsMax * stride))
    joined.words.set(left.words.subarray(0, left.count * stride))
    joined.words.set(right.words.subarray(0, right.count * stride), left.count * stride)
    joined.count = count
    this.account.bytes += pageBytes(joined) - pageBytes(left) - pageBytes(right)
    this.pages.replace(step < 0 ? otherPlace : place, joined)
    this.pages.remove(step < 0 ? place : otherPlace)
    return true
  }

  private shrink(page: Page): void {
    const capacity = page.words.length / this.stride
    if (capacity <= FIRST_PAGE_ROWS || page.count * 4 > capacity) return
    const before = page.words.byteLength
    page.words = page.words.slice(0, page.count * 2 * this.stride)
    this.account.bytes += page.words.byteLength - before
  }
}

/**
 * A position in a table. Reused; moving allocates nothing. Any write to the table makes it invalid until the next seek.
 * A cursor keeps the table alive until it runs off the end or is released.
 */
export class IdTableCursor {
  /** The row: words[at, at + stride). */
  words: Uint32Array = NO_WORDS
  at = 0

  private table: IdTable | null = null
  private page: Page | null = null
  private readonly place = new Place()
  private row = 0

  /** Goes to the first row with this id or a higher one; false (and released) when there is none. O(log n). */
  seekAtOrAfter(table: IdTable, id: StreamId): boolean {
    if (!table.pages.find(id, this.place)) return this.release()
    this.table = table
    this.page = table.pages.at(this.place)!
    return this.load(lowerBound(this.page, table.stride, id))
  }

  /** Goes to the row of the highest id; false (and released) when there is none. */
  seekLast(table: IdTable): boolean {
    if (!table.pages.toLast(this.place)) return this.release()
    this.table = table
    this.page = table.pages.at(this.place)!
    return this.load(this.page.count - 1)
  }

  /** Goes to the next row; false (and released) after the last. */
  next(): boolean {
    return this.page !== null && this.load(this.row + 1)
  }

  /** Copies the id of the row. */
  readId(id: StreamId): void {
    const { words, at } = this
    id.setWords(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!)
  }

  /** Lets go of the table; false. */
  release(): false {
    this.table = null
    this.page = null
    this.words = NO_WORDS
    return false
  }

  private load(row: number): boolean {
    const table = this.table!
    let page = this.page!
    if (row >= page.count) {
      if (!table.pages.toNext(this.place)) return this.release()
      page = table.pages.at(this.place)!
      this.page = page
      row = 0
    }
    this.row = row
    this.words = page.words
    this.at = row * table.stride
    return true
  }
}
