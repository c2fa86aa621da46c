/**
 * What a run of random commands has tried: per command, and per command with each word in capitals, how often it was sent
 * and how often the answer was no error. Shown at the end of a family's run when BUNDIS_TALLY is set, to see what a
 * generator leaves out, what never succeeds, and what never fails.
 */
import type { Command } from "./command.ts"

const MINUS = 45

interface Count {
  sent: number
  succeeded: number
}

/** Commands whose first argument is a subcommand. */
const containers = new Set(
  ["ACL", "CLIENT", "COMMAND", "CONFIG", "DEBUG", "LATENCY", "MEMORY", "OBJECT", "PFDEBUG", "PUBSUB", "SLOWLOG"].concat(
    [...["FUNCTION", "SCRIPT", "XGROUP", "XINFO"]],
  ),
)

export class Tally {
  #counts = new Map<string, Count>()

  note(command: Command, reply: Uint8Array | string): void {
    const succeeded = typeof reply !== "string" && reply[0] !== MINUS
    const name = String(command[0]).toUpperCase()
    const isContainer = containers.has(name)
    const fullName = isContainer ? `${name} ${String(command[1] ?? "").toUpperCase()}` : name
    this.#count(fullName, succeeded)
    const words = command.slice(isContainer ? 2 : 1).filter(arg => typeof arg === "string" && /^[A-Z]{2,}$/.test(arg))
    for (const word of new Set(words)) this.#count(`${fullName} … ${word}`, succeeded)
  }

  /** One line each, by name; what was sent fewer than `sentMin` times is left out. */
  lines(sentMin = 10): string[] {
    const names = [...this.#counts.keys()].filter(name => this.#counts.get(name)!.sent >= sentMin).sort()
    return names.map(name => {
      const { sent, succeeded } = this.#counts.get(name)!
      return `${name.padEnd(40)} ${String(sent).padStart(9)} sent  ${((100 * succeeded) / sent).toFixed(1).padStart(5)} % succeeded`
    })
  }

  #count(name: string, succeeded: boolean): void {
    let count = this.#counts.get(name)
    if (count === undefined) {
      count = { sent: 0, succeeded: 0 }
      this.#counts.set(name, count)
    }
    count.sent++
    if (succeeded) count.succeeded++
  }
}
