import { expect, test } from "bun:test"
import { configurationPage } from "../../src/config/page.ts"

const PAGE = new URL("../../docs/configuration.md", import.meta.url)

test("docs/configuration.md is current", async () => {
  if (process.env.UPDATE_PAGES === "1") await Bun.write(PAGE, configurationPage())
  expect(await Bun.file(PAGE).text()).toBe(configurationPage())
})
