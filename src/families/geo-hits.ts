/**
 * What a search has found: columns of numbers, and the members' bytes in one array. Used again from search to search; large
 * ones are let go afterwards.
 */

const ROOM_MIN = 64
const BYTES_MIN = 4096
const ROOM_KEPT_MAX = 1 << 14
const BYTES_KEPT_MAX = 1 << 20
/** Runs of this length are sorted by insertion before they are merged. */
const RUN = 8

export class GeoHits {
  count = 0
  bytes = new Uint8Array(BYTES_MIN)
  /** Where members end in `bytes`; each begins where the one before ends. */
  ends = new Int32Array(ROOM_MIN)
  scores = new Float64Array(ROOM_MIN)
  longitudes = new Float64Array(ROOM_MIN)
  latitudes = new Float64Array(ROOM_MIN)
  /** In metres. */
  distances = new Float64Array(ROOM_MIN)
  /** Places of the hits in the order of the reply, filled by `order…`. */
  places = new Uint32Array(ROOM_MIN)
  private spare = new Uint32Array(ROOM_MIN)
  private sign = 1

  reset(): void {
    this.count = 0
    if (this.scores.length > ROOM_KEPT_MAX) this.resize(ROOM_MIN)
    if (this.bytes.length > BYTES_KEPT_MAX) this.bytes = new Uint8Array(BYTES_MIN)
  }

  startOf(place: number): number {
    return place === 0 ? 0 : this.ends[place - 1]!
  }

  add(
    bytes: Uint8Array,
    start: number,
    end: number,
    score: number,
    longitude: number,
    latitude: number,
    distance: number,
  ): void {
    const place = this.count
    if (place === this.scores.length) this.resize(place * 2)
    const from = this.startOf(place)
    const to = from + end - start
    if (to > this.bytes.length) {
      const larger = new Uint8Array(to * 2)
      larger.set(this.bytes)
      this.bytes = larger
    }
    const own = this.bytes
    for (let i = start, at = from; i < end; i++) own[at++] = bytes[i]!
    this.ends[place] = to
    this.scores[place] = score
    this.longitudes[place] = longitude
    this.latitudes[place] = latitude
    this.distances[place] = distance
    this.count = place + 1
  }

  /** Leaves the hits in the order in which they were found. */
  orderAsFound(): void {
    for (let i = 0; i < this.count; i++) this.places[i] = i
  }

  /** Sorts the first `wanted` hits by distance to the front. O(hits + wanted · log wanted) on average. */
  orderByDistance(wanted: number, descending: boolean): void {
    this.orderAsFound()
    this.sign = descending ? -1 : 1
    if (wanted < this.count) this.select(wanted)
    this.sort(Math.min(wanted, this.count))
  }

  /** Sorts the first `size` places: runs by insertion, then merged. */
  private sort(size: number): void {
    for (let i = 1; i < size; i++) {
      const { places } = this
      const place = places[i]!
      let j = i
      for (; j % RUN !== 0 && this.compare(place, places[j - 1]!) < 0; j--) places[j] = places[j - 1]!
      places[j] = place
    }
    for (let width = RUN; width < size; width *= 2) {
      for (let from = 0; from < size; from += width * 2) {
        this.merge(from, Math.min(from + width, size), Math.min(from + width * 2, size))
      }
      const merged = this.spare
      this.spare = this.places
      this.places = merged
    }
  }

  /** Merges two neighbouring runs of `places` into `spare`. */
  private merge(from: number, middle: number, to: number): void {
    const { places, spare } = this
    let left = from
    let right = middle
    let out = from
    while (left < middle && right < to) {
      const a = places[left]!
      const b = places[right]!
      if (this.compare(a, b) <= 0) {
        spare[out++] = a
        left++
      } else {
        spare[out++] = b
        right++
      }
    }
    while (left < middle) spare[out++] = places[left++]!
    while (right < to) spare[out++] = places[right++]!
  }

  /** Nearer (or farther) first; as found where equal. */
  private compare(a: number, b: number): number {
    const difference = (this.distances[a]! - this.distances[b]!) * this.sign
    return difference === 0 ? a - b : difference
  }

  /** Puts the first `wanted` hits of the order to the front, in any order (Hoare's quickselect). */
  private select(wanted: number): void {
    const { places } = this
    let low = 0
    let high = this.count - 1
    while (low < high) {
      const pivot = places[(low + high) >>> 1]!
      let i = low - 1
      let j = high + 1
      for (;;) {
        do i++
        while (this.compare(places[i]!, pivot) < 0)
        do j--
        while (this.compare(places[j]!, pivot) > 0)
        if (i >= j) break
        const swapped = places[i]!
        places[i] = places[j]!
        places[j] = swapped
      }
      if (wanted <= j) high = j
      else low = j + 1
    }
  }

  private resize(room: number): void {
    this.ends = resized(this.ends, new Int32Array(room))
    this.scores = resized(this.scores, new Float64Array(room))
    this.longitudes = resized(this.longitudes, new Float64Array(room))
    this.latitudes = resized(this.latitudes, new Float64Array(room))
    this.distances = resized(this.distances, new Float64Array(room))
    this.places = new Uint32Array(room)
    this.spare = new Uint32Array(room)
  }
}

function resized<T extends Int32Array | Float64Array>(from: T, to: T): T {
  to.set(from.subarray(0, Math.min(from.length, to.length)))
  return to
}
