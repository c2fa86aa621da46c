/** What the bench prints: medians, ratios with their losses, and the region of the readme. */
import { expect, test } from "bun:test"
import { insertBetweenMarkers, markdown, median, type Report, ratio } from "../../bench/report.ts"

test("the median of an even number of values lies between the middle two", () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 3, 2])).toBe(2.5)
})

test("a loss is shown, in bold; what was not measured is a dash", () => {
  expect(ratio(1, 2)).toBe("0.50")
  expect(ratio(3, 2)).toBe("**1.50**")
  expect(ratio(undefined, 2)).toBe("–")
  expect(ratio(1, 0)).toBe("–")
})

test("only the region between the markers is replaced", () => {
  const document = "before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n"
  const expected = "before\n<!-- bench:begin -->\nnew\n<!-- bench:end -->\nafter\n"
  expect(insertBetweenMarkers(document, "new\n")).toBe(expected)
  expect(insertBetweenMarkers(expected, "new\n")).toBe(expected)
  expect(() => insertBetweenMarkers("no markers", "new")).toThrow("missing")
})

test("a report holds a row for everything measured and a line for everything left out", () => {
  const report: Report = {
    date: "2000-01-01",
    mode: "quick",
    machine: "a machine",
    versions: { redis: "1", bundis: "2" },
    sections: [
      {
        title: "Pipeline",
        rows: [
          {
            test: "SET",
            pipeline: 32,
            cells: {
              redis: { requestsPerSecond: 1_000_000, cpuMicrosPerCommand: 1 },
              bundis: { requestsPerSecond: 1_500_000, cpuMicrosPerCommand: 0.5 },
            },
          },
        ],
      },
      { title: "Nothing here", rows: [] },
    ],
    memory: [{ dataset: "strings", count: 1, residentBytes: { redis: 2 ** 20, bundis: 2 ** 21 }, emptyBytes: {} }],
    stalls: [{ step: "DEL", stalls: { redis: { count: 1, maxMs: 2, p999Ms: 1 } } }],
    start: { ms: { redis: 10, bundis: 20 } },
    notes: ["GEOSEARCH left out"],
  }
  const text = markdown(report)
  expect(text).toContain("| SET | 1.00 | 0.50 | 0.50 | 1,000,000 | 1,500,000 |")
  expect(text).toContain("| strings | 1 | 2 | **2.00** |")
  expect(text).toContain("| DEL | 2.00 | – | – | 1.00 | – |")
  expect(text).toContain("| executable to first PONG, empty | 10.0 | 20.0 | **2.00** |")
  expect(text).toContain("- GEOSEARCH left out")
  expect(text).not.toContain("Nothing here")
})
