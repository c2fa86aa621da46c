import { describe, test } from "bun:test"
import { Client } from "../support/client.ts"
import { compareText } from "../support/compare.ts"
import { oracleAvailable, sharedOracle } from "../support/oracle.ts"
import { oracleFamily } from "../support/oracle-family.ts"
import { startSubject } from "../support/subject.ts"

/** Replies that name the server's version or the connection's number. */
const looser = {
  HELLO: { sameShape: true },
  "CLIENT ID": { sameShape: true },
  "CLIENT LIST": { sameShape: true },
  "CLIENT INFO": { sameShape: true },
} as const

const CASES = `
PING
PING hello
PING a b
ping ""
ECHO
ECHO a
ECHO "\\x00\\xff\\r\\n"
ECHO a b
SELECT 1
SELECT 16
SELECT -1
SELECT 1.5
SELECT abc
SELECT
SELECT 99999999999
SELECT 99999999999999999999
SELECT 0
HELLO 3
HELLO 1
HELLO 4
HELLO 0
HELLO abc
HELLO 3 FOO
HELLO 3 AUTH
HELLO 3 AUTH a
HELLO 3 AUTH nobody b
HELLO 3 AUTH default b
HELLO 3 SETNAME
HELLO 3 SETNAME "a b"
CLIENT GETNAME
HELLO 2 SETNAME x
CLIENT GETNAME
HELLO 3 SETNAME y SETNAME z
CLIENT GETNAME
HELLO 2
AUTH
AUTH a
AUTH default a
AUTH nobody a
AUTH a b c
CLIENT
CLIENT NOSUCH
CLIENT nosuch a b c
CLIENT GETNAME x
CLIENT SETNAME
CLIENT SETNAME "with space"
CLIENT SETNAME "new\\nline"
CLIENT SETNAME ok~!
CLIENT GETNAME
CLIENT SETNAME ""
CLIENT GETNAME
CLIENT LIST TYPE
CLIENT LIST TYPE odd
CLIENT LIST TYPE pubsub
CLIENT LIST TYPE replica
CLIENT LIST TYPE slave
CLIENT LIST TYPE master
CLIENT LIST ID
CLIENT LIST ID abc
CLIENT LIST ID 1 abc
CLIENT LIST ID 123456789
CLIENT LIST FOO
CLIENT LIST FOO BAR
CLIENT KILL
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID
CLIENT KILL ID 0
CLIENT KILL ID -1
CLIENT KILL ID abc
CLIENT KILL ID 123456789
CLIENT KILL ID 123456789 TYPE
CLIENT KILL TYPE odd
CLIENT KILL TYPE pubsub
CLIENT KILL USER nobody
CLIENT KILL ADDR 1.2.3.4:5
CLIENT KILL LADDR 1.2.3.4:5 SKIPME yes
CLIENT KILL SKIPME maybe
CLIENT KILL FOO bar
CLIENT NO-EVICT
CLIENT NO-EVICT on
CLIENT NO-EVICT OFF
CLIENT NO-EVICT maybe
CLIENT CACHING YES
CLIENT CACHING maybe
CLIENT TRACKING ON
CLIENT CACHING YES
CLIENT CACHING NO
CLIENT CACHING maybe
CLIENT TRACKING ON BCAST
CLIENT TRACKING OFF
CLIENT TRACKING ON BCAST PREFIX kb PREFIX ka
CLIENT TRACKING ON BCAST PREFIX ka
CLIENT TRACKING ON BCAST PREFIX k
CLIENT TRACKING ON BCAST
CLIENT TRACKING ON BCAST PREFIX z
CLIENT TRACKING OFF
CLIENT TRACKING ON BCAST PREFIX "\\xff\\x00" PREFIX a
CLIENT TRACKINGINFO
CLIENT TRACKING OFF
CLIENT TRACKING ON BCAST
CLIENT TRACKING ON BCAST PREFIX x PREFIX xy
CLIENT TRACKING ON BCAST PREFIX x
CLIENT TRACKING ON BCAST
CLIENT TRACKING OFF
CLIENT TRACKING ON OPTIN
CLIENT CACHING YES
CLIENT CACHING NO
CLIENT TRACKING OFF
CLIENT REPLY
CLIENT REPLY ON
CLIENT REPLY maybe
RESET
RESET x
EXEC x
MULTI
EXEC x
EXEC
MULTI
DISCARD x
EXEC
WAIT 0 0
WAIT 0
WAIT a 0
WAIT 0 a
WAIT 0 -1
ROLE
ROLE x
TIME x
LASTSAVE x
SHUTDOWN FOO
SHUTDOWN SAVE NOSAVE
SHUTDOWN ABORT
SHUTDOWN ABORT NOW
MODULE LIST
MODULE NOSUCH
NOSUCH
NOSUCH a "b c" "\\xff"
nosuch ${"x".repeat(200)} y
nosuch ${"abcdefghij ".repeat(20)}
`

/** Errors show what was sent up to its first zero byte, and line ends as spaces. */
const QUOTING = `
"a\\x00b" x
NOSUCH "a\\x00b" "c\\r\\nd\\n" "\\x00" "" tail
"NO\\nSUCH\\x00" x
CONFIG "a\\x00b"
CONFIG SET "no\\x00such" x
CONFIG SET "\\xc3\\xa9\\xff" x
CONFIG SET "nosuch\\n" 1
ACL "a\\x00b"
ACL CAT "a\\x00b"
ACL SETUSER "a\\x00b"
ACL SETUSER bob "+a\\x00b"
ACL SETUSER bob "nosuch\\x00b"
ACL SETUSER bob "+@x\\x00b"
ACL SETUSER bob "(x\\x00 y)"
ACL SETUSER bob "(x\\x00 y"
ACL SETUSER bob "#a\\x00b"
ACL SETUSER bob "<a\\x00b"
ACL SETUSER bob "~a\\x00b"
ACL DRYRUN "a\\x00b" get x
ACL DRYRUN default "g\\x00et" x
HELLO 3 "FOO\\x00x"
CLIENT "a\\x00b"
CLIENT SETNAME "a\\x00b"
CLIENT LIST TYPE "a\\x00b"
CLIENT KILL TYPE "a\\x00b"
CLIENT KILL USER "a\\x00b"
CLIENT TRACKING on BCAST PREFIX "a\\x00b" PREFIX "a\\x00bc"
CLIENT TRACKING on BCAST PREFIX "a\\x00b"
CLIENT TRACKING on BCAST PREFIX "a\\x00bc"
CLIENT TRACKING off
PUBSUB "a\\x00b"
PUBSUB CHANNELS "a\\x00" b
XINFO "a\\x00b" c
XGROUP "a\\x00b" c
OBJECT "a\\x00b" c
MEMORY "a\\x00" b
SLOWLOG "a\\x00"
LATENCY "a\\x00"
LATENCY GRAPH "a\\x00b"
LATENCY HISTORY "a\\x00b"
COMMAND "a\\x00"
MODULE "a\\x00"
EXPIRE nokey 1 "foo\\x00"
EXPIRE nokey 1 "foo\\r\\nbar\\r\\n"
PFADD hll a
PFDEBUG "a\\x00" hll
XADD stream 1-1 a b
XREADGROUP GROUP "g\\x00" c STREAMS stream >
MULTI
NOSUCH "a\\x00b" "c\\n"
EXEC
`

describe("oracle: connection cases", () => {
  test.skipIf(!oracleAvailable)("replies and errors", async () => {
    const oracle = await sharedOracle()
    await using subject = await startSubject()
    await using ours = await Client.connect(subject.port)
    await using theirs = await Client.connect(oracle.port)
    await compareText(ours, theirs, CASES, { looser })
    await compareText(ours, theirs, QUOTING)
  })
})

oracleFamily("connection", {
  commands: {
    "PING [value]": 3,
    "ECHO value": 3,
    "SELECT index": 2,
    "SELECT ('1'|'2'|'0')": 2,
    "SET key value": 2,
    "GET key": 2,
    "HELLO ('2'|'3') [SETNAME label]": 2,
    "CLIENT SETNAME label": 2,
    "CLIENT GETNAME": 2,
    "CLIENT NO-EVICT (ON|OFF)": 1,
    "CLIENT LIST TYPE (PUBSUB|REPLICA|MASTER|label)": 1,
    "CLIENT KILL ID '987654321' [SKIPME (YES|NO)] [USER (DEFAULT|label)]": 1,
    RESET: 1,
    "AUTH label [value]": 1,
    "WAIT '0' index": 1,
  },
  words: {
    label: random => random.pick(["name", "other", "with space", "", "é", "a\nb", "default"]),
    index: random => random.pick(["0", "1", "15", "16", "-1", "abc", "1.5", "2147483648", "9223372036854775808"]),
  },
  // A dropped argument of CLIENT KILL must not lose us the connection.
  spoilOneIn: 0,
  otherTypes: false,
  looser,
})
