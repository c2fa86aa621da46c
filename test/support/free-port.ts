/**
 * A TCP port on the loopback interface that was free a moment ago. Somebody else may take it in between: whoever starts
 * a process on it should be ready to try another.
 */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } })
  const port = listener.port
  listener.stop(true)
  return port
}
