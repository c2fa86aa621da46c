/** Writes random scripts: values of every kind to return, commands whose replies are taken apart, errors and their handling. */
import type { Random } from "../support/random.ts"

const KEYS = ["s1", "s2", "l1", "h1", "z1", "set1", "x1", "none"]
const WORDS = ["a", "b", "ab", "", "10", "-3", "x y", "\\0\\255"]
const NUMBERS = ["0", "1", "-1", "2", "3.5", "-7.25", "100", "1e10", "2^53", "-(2^40)", "1e15", "0.125"]

/** Redis commands as Lua argument lists; each reply is the same on both sides. */
const CALLS = [
  "'set',K,W",
  "'get',K",
  "'append',K,W",
  "'strlen',K",
  "'incr',K",
  "'incrby',K,N",
  "'getrange',K,N,N",
  "'setrange',K,2,W",
  "'mget',K,K,K",
  "'getset',K,W",
  "'setex',K,100,W",
  "'del',K",
  "'exists',K,K",
  "'type',K",
  "'persist',K",
  "'rpush',K,W,W",
  "'lpush',K,W",
  "'lrange',K,0,-1",
  "'lpop',K",
  "'rpoplpush',K,K",
  "'llen',K",
  "'lindex',K,N",
  "'linsert',K,'before',W,W",
  "'lpos',K,W",
  "'hset',K,W,W",
  "'hget',K,W",
  "'hgetall',K",
  "'hmget',K,W,W",
  "'hincrby',K,W,N",
  "'hexists',K,W",
  "'sadd',K,W",
  "'sismember',K,W",
  "'scard',K",
  "'srem',K,W",
  "'zadd',K,N,W",
  "'zscore',K,W",
  "'zrange',K,0,-1,'withscores'",
  "'zrank',K,W",
  "'zincrby',K,1,W",
  "'zpopmin',K",
  "'xlen',K",
  "'xrange',K,'-','+'",
  "'setbit',K,7,1",
  "'bitcount',K",
  "'ping'",
  "'echo',W",
  "'nosuch',W",
  "'get'",
]

export class ScriptWriter {
  private readonly random: Random

  constructor(random: Random) {
    this.random = random
  }

  next(): string {
    const { random } = this
    const lines: string[] = []
    if (random.oneIn(3)) lines.push(`redis.setresp(${random.oneIn(5) ? 2 : 3})`)
    for (let i = random.below(4); i > 0; i--) lines.push(this.statement())
    lines.push(`return ${this.value(3)}`)
    return lines.join(random.oneIn(2) ? "\n" : " ")
  }

  private statement(): string {
    const { random } = this
    switch (random.below(7)) {
      case 0:
        return this.call("call")
      case 1:
        return `local ok, e = pcall(function() return ${this.call("call")} end)`
      case 2:
        return `for i = 1, ${random.below(4)} do ${this.call("pcall")} end`
      case 3:
        return `if ${this.value(1)} then ${this.call("pcall")} end`
      case 4:
        return `local v = ${this.call("pcall")}`
      default:
        return this.call("pcall")
    }
  }

  private call(how: "call" | "pcall"): string {
    const { random } = this
    const args = random
      .pick(CALLS)
      .replace(/\bK\b/g, () => `'${random.pick(KEYS)}'`)
      .replace(/\bW\b/g, () => `'${random.pick(WORDS)}'`)
      .replace(/\bN\b/g, () => String(random.below(20) - 5))
    return `redis.${how}(${args})`
  }

  private value(depth: number): string {
    const { random } = this
    switch (random.below(depth > 0 ? 16 : 7)) {
      case 0:
        return random.pick(NUMBERS)
      case 1:
      case 2:
        return `'${random.pick(WORDS)}'`
      case 3:
        return random.pick(["true", "false", "nil", "1 == 1"])
      case 4:
        return random.pick(["KEYS[1]", "ARGV[1]", "#ARGV", "KEYS[3]", "ARGV"])
      case 5:
        return random.pick(["tostring(1.5)", "type({})", "tonumber('12')", "('x'):rep(3)", "math.floor(2.7)"])
      case 6:
        return this.call(random.oneIn(6) ? "call" : "pcall")
      case 7:
      case 8:
        return this.call("pcall")
      case 9:
        return `{${this.list(depth)}}`
      case 10:
        if (random.oneIn(5)) return `{big_number='${random.pick(["-1", "12345678901234567890"])}'}`
        return `{${random.pick(["ok", "err", "double", "x"])}=${this.value(depth - 1)}}`
      case 11:
        return `{map={[${this.key()}]=${this.value(depth - 1)}}}`
      case 12:
        return `{set={[${this.key()}]=true}}`
      case 13:
        return `{verbatim_string={string='${random.pick(WORDS)}',format='${random.pick(["txt", "mkd", "x"])}'}}`
      case 14:
        return random.pick(["redis.error_reply('OWN x')", "redis.error_reply('x')", "redis.status_reply('fine')"])
      default:
        return `{pcall(function() return ${this.value(depth - 1)} end)}`
    }
  }

  private key(): string {
    return this.random.oneIn(2) ? "1" : `'${this.random.pick(WORDS)}'`
  }

  private list(depth: number): string {
    return Array.from({ length: this.random.below(5) }, () => this.value(depth - 1)).join(",")
  }
}
