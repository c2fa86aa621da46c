/** Scripts for the comparison with a real Redis. Each is run with KEYS = {k1, k2} and ARGV = {a1, 2, ""}. */

/** One script per line; those of several lines are below. */
export const ONE_LINERS = `
return
return 1
return -1.5
return 3.99
return 1e300
return -1e300
return 2^53
return 2^53+1
return -(2^63)
return 2^63
return 2^64
return 0/0
return 1/0
return -0
return true
return false
return nil
return ''
return 'hello'
return '\\0\\255\\r\\n'
return {}
return {1,2,3}
return {1,2,nil,4}
return {1,{2,{3,{}}},'x',false,true,4.5}
return {ok='fine'}
return {ok='two\\r\\nlines'}
return {ok='zero\\0byte'}
return {ok=1}
return {ok='a',err='ERR b'}
return {err='ERR sad'}
return {err='sad'}
return {err=''}
return {err='two\\r\\nlines'}
return {err='zero\\0byte'}
return {err=1}
return {1,{err='FOO x'},{ok='fine'}}
return {double=3.5}
return {double='3.5'}
return {double=1e20}
return {double=1/0}
return {big_number='12345678901234567890'}
return {big_number='1\\r\\n2'}
return {big_number=1}
return {verbatim_string={string='abc',format='txt'}}
return {verbatim_string={string='a\\r\\n\\0bc',format='mkd'}}
return {verbatim_string={string='abc',format='toolong'}}
return {verbatim_string={string='abc',format='t'}}
return {verbatim_string={string='abc'}}
return {verbatim_string='abc'}
return {map={a=1}}
return {map={a={map={b=2}}}}
return {map={[1]=2}}
return {map=1}
return {set={a=true}}
return {set={a=1}}
return {set='x'}
return function() end
return coroutine.create(function() end)
return KEYS
return ARGV
return {KEYS[1],KEYS[2],KEYS[3]}
return #KEYS + #ARGV
KEYS[1] = 'other' return KEYS
redis.setresp(3) return true
redis.setresp(3) return false
redis.setresp(3) return nil
redis.setresp(3) return {true,false,nil}
redis.setresp(3) return {map={a=true}}
redis.setresp(2) return true
redis.setresp(4)
redis.setresp()
redis.setresp('3') return true
redis.setresp(2,3)
return redis.error_reply('x')
return redis.error_reply('MY ERR')
return redis.error_reply('-MY ERR')
return redis.error_reply('-x')
return redis.error_reply('')
return redis.error_reply('  two  ')
return redis.error_reply(1)
return redis.error_reply()
return redis.error_reply('a','b')
return redis.status_reply('x')
return redis.status_reply('')
return redis.status_reply(1)
return redis.status_reply()
return redis.sha1hex('')
return redis.sha1hex('abc')
return redis.sha1hex(1)
return redis.sha1hex(1.5)
return redis.sha1hex()
return redis.sha1hex('a','b')
return redis.log()
return redis.log(1)
return redis.log('x','y')
return redis.log(redis.LOG_DEBUG,'y',1,nil,true)
return redis.log(-1,'y')
return {redis.LOG_DEBUG,redis.LOG_VERBOSE,redis.LOG_NOTICE,redis.LOG_WARNING}
return {redis.REPL_NONE,redis.REPL_AOF,redis.REPL_SLAVE,redis.REPL_REPLICA,redis.REPL_ALL}
return redis.set_repl(redis.REPL_ALL)
return redis.set_repl(4)
return redis.set_repl()
return redis.set_repl(1,2)
return redis.replicate_commands()
return redis.breakpoint()
return redis.debug('a')
return redis.acl_check_cmd('set','a','b')
return redis.acl_check_cmd('get')
return redis.acl_check_cmd('nosuch')
return redis.acl_check_cmd('config','get')
return redis.acl_check_cmd('config','nosuch')
return redis.acl_check_cmd()
return redis.acl_check_cmd({})
return redis.call()
return redis.call({})
return redis.call(nil)
return redis.call('get',nil)
return redis.call('get',true)
return redis.call('get',{})
return redis.call('get',function() end)
return redis.pcall()
return redis.pcall({})
return redis.pcall('get',nil)
return redis.call('nosuch')
return redis.pcall('nosuch')
return redis.call('')
return redis.call('get')
return redis.pcall('get')
return redis.call('get','a','b')
return redis.call('config')
return redis.call('config','nosuch')
return redis.call('object')
return redis.call('object','encoding')
return redis.call('object','encoding','none')
return redis.call('subscribe','a')
return redis.call('multi')
return redis.call('exec')
return redis.call('watch','a')
return redis.call('eval','return 1',0)
return redis.call('evalsha','x',0)
return redis.call('script','exists','x')
return redis.call('client','reply','off')
return redis.call('auth','x')
return redis.call('debug','x')
return redis.call('monitor')
return redis.call('save')
return redis.call('acl','whoami')
return redis.call('GET','none')
return redis.call('gEt','none')
return redis.call('set','s','v')
return redis.call('get','s')
return {redis.call('set','s','v'),redis.call('get','s'),redis.call('get','none')}
return redis.call('set','s','v','nosuch')
return redis.pcall('set','s','v','nosuch')
return redis.pcall('set','s','v','nosuch').err
return redis.call('lpush','s','v')
return redis.pcall('lpush','s','v')
return type(redis.pcall('lpush','s','v'))
return redis.call('incr','s')
return redis.call('set',1,2)
return redis.call('get',1)
return redis.call('set','n',1e15) and redis.call('get','n')
return redis.call('set','n',-5) and redis.call('get','n')
return redis.call('set','n',2^53) and redis.call('get','n')
return redis.call('set','n',-0) and redis.call('get','n')
return redis.call('set','n',2^62) and redis.call('get','n')
return redis.call('set','n',1e18) and redis.call('get','n')
return redis.call('set','n',0.5) and redis.call('get','n')
return redis.call('set','n',1/0) and redis.call('get','n')
return redis.call('incrby','counter',5)
return redis.call('incrby','counter','9223372036854775800')
return redis.call('incrbyfloat','f','1.5')
return redis.call('mget','s','none','n')
return redis.call('rpush','l','a','b','c')
return redis.call('lrange','l',0,-1)
return redis.call('lrange','none',0,-1)
return redis.call('blpop','none',0.1)
return redis.call('hset','h','f','v','g','w')
return redis.call('hgetall','h')
return redis.call('hmget','h','f','none')
return redis.call('zadd','z',1,'a',2.5,'b')
return redis.call('zscore','z','b')
return redis.call('zrange','z',0,-1,'withscores')
return redis.call('zrange','z',0,-1,'withscores')[4]
return redis.call('sadd','set','m')
return redis.call('smembers','set')
return redis.call('sismember','set','m')
return redis.call('xadd','x','1-1','f','v')
return redis.call('xrange','x','-','+')
return redis.call('xread','streams','none','0')
return redis.call('geoadd','g',13.5,38.5,'p')
return redis.call('geopos','g','p','none')
return redis.call('echo','x')
return redis.call('ping')
return redis.call('ping').ok
return redis.call('type','l')
return redis.call('type','l')['ok']
return redis.call('exists','l','none')
return redis.call('dbsize')
return redis.call('select',1)
return redis.call('dbsize')
return redis.call('select',99)
return {redis.call('select',1),redis.call('dbsize'),redis.call('select',0)}
return redis.call('lpos','l','c')
return redis.call('lpos','l','none')
return redis.call('object','help')
return redis.call('spop','none')
return redis.call('getdel','none')
return redis.call('expire','s',100)
return redis.call('ttl','s')
return redis.call('sort','l','alpha','desc')
return redis.call('wait',0,0)
return redis.call('command','count') > 100
return redis.call('publish','c','m')
return redis.call('pubsub','numpat')
return redis.call('memory','usage','none')
return redis.call('config','get','nosuch')
redis.setresp(3) return redis.call('hgetall','h')
redis.setresp(3) return redis.call('hgetall','h').map.f
redis.setresp(3) return redis.call('smembers','set')
redis.setresp(3) return redis.call('smembers','set').set.m
redis.setresp(3) return redis.call('zscore','z','b')
redis.setresp(3) return redis.call('zscore','z','b').double
redis.setresp(3) return redis.call('zrange','z',0,-1,'withscores')
redis.setresp(3) return redis.call('get','none')
redis.setresp(3) return type(redis.call('get','none'))
redis.setresp(3) return redis.call('mget','none','s')
redis.setresp(3) return redis.call('blpop','none',0.1)
redis.setresp(3) return redis.call('config','get','nosuch')
redis.setresp(3) return redis.call('lolwut','version',1) == nil
redis.setresp(3) redis.setresp(2) return redis.call('hgetall','h')
redis.setresp(3) return redis.call('debug','protocol','bignum')
error()
error(nil)
error(true)
error(12)
error('boo')
error('boo',0)
error('boo',1)
error('boo',2)
error({})
error({err='FOO bar'})
error({err='bar'})
error({err='FOO bar',source='here',line=7})
error(redis.error_reply('FOO bar'))
local function f() error('in f') end f()
local function f() redis.call('nosuch') end f()
return pcall(error,'x')
return {pcall(error,'x')}
return {pcall(error,{err='ERR y'})}
return {pcall(redis.call,'nosuch')}
return {pcall(redis.call,'get','s')}
return {pcall(redis.pcall,'nosuch')}
return select('#',pcall(error))
return {pcall()}
return {xpcall(function() error('x') end, function(e) return 'handled ' .. e end)}
return {xpcall(function() redis.call('nosuch') end, function(e) return e.err end)}
local t = nil t.x = 1
local t = nil return t.x
return 1 .. nil
return 1 + {}
return #nil
return nil < 1
return nosuchfunction()
return string.nosuch()
return ('x'):nosuch()
return x.y
assert(false)
assert(false,'why')
assert(nil)
return assert(1,2)
redis.call = 1
redis.x = 1
redis = 1
x = 1
_G = {}
_G.x = 1
_G.redis = 1
KEYS = {}
string.x = 1
string.len = 1
math.random = 1
table.concat = 1
cjson.encode = 1
cmsgpack.pack = 1
bit.band = 1
struct.pack = 1
coroutine.create = 1
rawset(_G,'x',1)
rawset(redis,'x',1)
rawset(redis,'call',1)
rawset(string,'len',1)
rawset(KEYS,1,'x') return KEYS
setmetatable(_G,{})
setmetatable(redis,{})
return getmetatable(redis)
return getmetatable(string)
return type(getmetatable(_G).__index)
getmetatable(_G).__index = nil
getmetatable(_G).x = nil
getmetatable('').__index = nil
getmetatable('').__index.x = nil
return getmetatable('').__index == string
return getmetatable('').__index.len('abc')
setmetatable('',{})
return rawget(_G,'x')
return type(rawget(_G,'redis'))
return type(rawget(redis,'call'))
return rawequal(_G,_G)
return _G._G == _G
return _G[1]
return _G[{}]
return redis.nosuch
return string.nosuch
return type(next(redis))
return type(next(_G))
return next({})
for k in pairs(redis) do rawset(redis,k,1) end
local _,t = pairs(redis) rawset(t,'x',1)
local n = 0 for k,v in pairs(redis) do n = n + 1 end return n > 10
local n = 0 for k,v in next,redis do n = n + 1 end return n > 10
local r = {} for k in pairs(math) do r[#r+1] = k end table.sort(r) return r
local r = {} for k in pairs(string) do r[#r+1] = k end table.sort(r) return r
local r = {} for k in pairs(table) do r[#r+1] = k end table.sort(r) return r
local r = {} for k in pairs(coroutine) do r[#r+1] = k end table.sort(r) return r
table.insert(redis,1)
table.insert(_G,1)
table.remove(redis)
table.insert(KEYS,'x') return KEYS
table.remove(KEYS) return KEYS
table.sort(KEYS) return KEYS
return unpack(KEYS)
return {unpack({1,2,3},2)}
return print
return dofile
return loadfile
return require
return module
return getfenv
return setfenv
return newproxy
return debug
return io
return package
return loadstring('return 7')()
return loadstring('return x')()
return loadstring('x = 1')()
return loadstring('return (')
return {loadstring('return (')}
return {loadstring('return (', 'name')}
return {loadstring('return (', '@name')}
return {loadstring('return (', '=name')}
return loadstring(1)
return loadstring()
return loadstring(string.dump(function() return 1 end))
return {loadstring(string.dump(function() return 1 end))}
local parts = {'return ', '7'} local i = 0 return load(function() i = i + 1 return parts[i] end)()
return load(function() return string.dump(function() end) end)
return tostring(pcall(load, 1))
return tostring(nil) .. tostring(true) .. tostring(1) .. tostring(1.5) .. tostring(1e15) .. tostring(1e14)
return type(tostring(print == nil))
return tostring(2^31) .. tostring(-2^31) .. tostring(2^63) .. tostring(1e100)
return tostring(0/0) .. tostring(-(0/0)) .. tostring(1/0) .. tostring(-1/0)
return tonumber('0x10') .. tonumber('1e2') .. tonumber('  12  ')
return {tonumber('10',2), tonumber('zz',36), tonumber('8',8), tonumber('ffffffffff',16)}
return tonumber('')
return tonumber('1 2')
return tonumber({})
return tonumber()
return tonumber('7',1)
return tonumber('7',37)
return {tostring(tonumber('-ff',16)),tostring(tonumber('0xff',16)),tostring(tonumber('ffffffffffffffffff',16))}
return tostring(tonumber('1e1',16)) .. tostring(tonumber('0x',16)) .. tostring(tonumber('x',16))
return string.format('%d %5d|%-15d|%015d|%+d|% d|%.14d', 1e12, 1e10, 1e11, 1e11, 1e11, 1e11, 1e11)
return string.format('%x %X %#x %o %u %i', 1e13, 1e13, 1e13, 1e13, 1e13, -1e12)
return string.format('%d %i %x %u %o', -1, -1, -1, -1, -1)
return string.format('%d %d %d', 0/0, 1e300, -1e300)
return string.format('%x %x %x', 2^63, 2^64, -1e300)
return string.format('%5.1f %g %e %G %s %q %c%%', 1/3, 1e100, 12345.678, 1e-10, 'x', 'a\\n"b\\0', 65)
return string.format('%d', '12345678901')
return string.format('%d', 3.99)
return string.format('%d', 'x')
return string.format('%d')
return string.format('%y', 1)
return string.format('%10.4s|%-10s|%.0s', 'abcdefgh', 'ab', 'x')
return string.format('%0100d', 1)
return string.format('%s', nil)
return string.format('%s', 1e15)
return string.format()
return ('%5d'):format(5e9)
return ('abc'):upper():lower():len()
return ('abc'):rep(3)
return ('hello world'):find('o w')
return {('hello world'):find('(o)%s(w)')}
return {('k=v, x=y'):match('(%w+)=(%w+)')}
return {('abc'):gsub('%w', '%0%0')}
return {('abc'):gsub('b', {b='X'})}
return {('abc'):gsub('.', function(c) return c:byte() end)}
return ('abc'):byte(1,-1)
return {('abc'):byte(1,-1)}
return string.char(65,66,255)
return ('x'):rep(-1)
return ('abc'):rep(5000)
return ('abc'):rep('3000.9')
return #('abc'):rep(1e6)
return (''):rep(1e4)
return (12):rep(3)
return string.rep(12,3000)
return ('x'):rep({})
return ('x'):rep()
return string.rep()
return ('abc'):sub(-2)
return ('abc'):reverse()
local t = {} for w in ('a b c'):gmatch('%a') do t[#t+1] = w end return t
return ('abc'):find('[')
return ('abc'):gsub('(', '')
return table.concat({1,2,3},',')
return table.concat({1,{},3},',')
return table.concat({'a','b','c'},'-',2,3)
return table.getn({1,2,3})
return table.maxn({1,2,nil,4})
local t = {3,1,2} table.sort(t) return t
local t = {3,1,2} table.sort(t,function(a,b) return a > b end) return t
local t = {3,'x',2} table.sort(t) return t
local t = {1,2,3} table.insert(t,2,'x') return t
local t = {1,2,3} table.insert(t) return t
local t = {1,2,3} return {table.remove(t,1), t}
return {math.floor(-1.5),math.ceil(1.2),math.abs(-1),math.max(1,2),math.min(1,2),math.fmod(7,3),math.pow(2,10),math.sqrt(16)}
return tostring(math.pi) .. tostring(math.huge)
return {tostring(math.sin(1)),tostring(math.exp(1)),tostring(math.log(10)),tostring(math.log10(1000))}
math.randomseed(42) return {tostring(math.random()),math.random(100),math.random(5,7)}
math.randomseed(0) return {tostring(math.random()),tostring(math.random())}
math.randomseed(-1) return tostring(math.random())
math.randomseed(1.7e12) return tostring(math.random())
math.randomseed(2^40+5) return tostring(math.random())
return math.random(0)
return math.random(3,1)
return math.random(1,2,3)
return math.random('x')
math.randomseed()
return collectgarbage('count') > 0
return collectgarbage()
return collectgarbage('nosuch')
return gcinfo() > 0
return select(2,'a','b','c')
return {select(-1,'a','b','c')}
return select('#',nil,nil)
return select(0)
return type(_VERSION) .. _VERSION
local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return {coroutine.resume(co,1)}
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) return {co(),co(),co()}
local co = coroutine.create(function() error('x') end) return {coroutine.resume(co)}
local co = coroutine.create(function() return redis.call('get','s') end) return {coroutine.resume(co)}
local co = coroutine.create(function() redis.call('nosuch') end) local ok,e = coroutine.resume(co) return e
local co = coroutine.create(function() return x end) return {coroutine.resume(co)}
return coroutine.running()
coroutine.yield(1)
return coroutine.status(coroutine.create(function() end))
local t = setmetatable({},{__index=function(t,k) return k .. '!' end}) return t.x
local t = setmetatable({},{__tostring=function() return 'T' end}) return tostring(t)
local t = setmetatable({},{__metatable='locked'}) return getmetatable(t)
local t = setmetatable({},{__metatable='locked'}) setmetatable(t,{})
local t = setmetatable({},{__call=function(self,a) return a end}) return t(5)
local t = setmetatable({},{__eq=function() return true end}) return t == {}
local t = setmetatable({},{__gc=function() redis.call('set','gc','1') end}) t = nil collectgarbage() return redis.call('get','gc')
local t = setmetatable({},{__index=function() error('x') end}) return t
local t = {} t[1] = t return #t
local t = {} for i = 1, 1000 do t[i] = i end return #t
local t = {} for i = 1, 100 do t = {t} end return t
return {1,2,3,[5]=5}
return {[1]='a',[2]='b',x='c'}
return 'a' < 'b'
return ('a'):rep(100000):len()
return redis.call('set','big',('x'):rep(100000)).ok .. redis.call('strlen','big')
return redis.call('rpush','many',unpack({1,2,3,4,5,6,7,8,9,10}))
local a = {} for i = 1, 5000 do a[i] = i end return redis.call('rpush','thousands',unpack(a))
local a = {} for i = 1, 9000 do a[i] = i end return redis.call('rpush','thousands',unpack(a))
local a = {} for i = 1, 300 do a[i] = i / 3 end redis.call('rpush','thirds',unpack(a)) redis.call('del','thirds') return #a
return redis.call('lrange','thousands',0,-1)[5000]
local function f() return f() end f = nil return 1
local function f(n) return n == 0 and 0 or 1 + f(n - 1) end return f(1000)
local function f() return 1 + f() end return f()
return (
return 1 return 2
if
for i = 1
x
goto x
return 'unfinished
return [[long
string]]
--[[ comment
return 0xfffffffffff
return 1e
#!lua
#!lua flags=no-writes
#!nosuch
`
  .split("\n")
  .filter(line => line !== "")

/** With line breaks. */
export const LONGER = [
  "\n\nerror('third line')",
  "\n\nredis.call('nosuch')",
  "local function f()\n  redis.call('nosuch')\nend\n\nf()",
  "local function f()\n  return redis.pcall('nosuch')\nend\n\nreturn f()",
  "local ok, e = pcall(function()\n  redis.call('incr', 's')\nend)\nreturn e",
  "redis.call('set', 'before', 'x')\nredis.call('nosuch')",
  "return loadstring('\\n\\nerror(1)')()",
  "return redis.call('set',\n'k1')",
  "return pcall(loadstring('error({err=\"A b\"})'))",
  "#!lua\nreturn 1",
  "#!lua flags=\nreturn 1",
  "#!lua flags=nosuch\nreturn 1",
  "#!lua flags=no-writes\nreturn redis.call('set','x','y')",
  "#!lua flags=no-writes\nreturn redis.call('get','s')",
  "#!lua flags=no-writes,allow-oom,allow-stale,allow-cross-slot-keys\nreturn 1",
  "#!lua flags=no-cluster\nreturn 1",
  "#!lua flags=no-writes flags=allow-oom\nreturn 1",
  "#!lua nosuch=1\nreturn 1",
  "#!lua2\nreturn 1",
  "#!/bin/lua\nreturn 1",
  "#! lua\nreturn 1",
  "#!\nreturn 1",
  "#!lua\n\nerror('line three')",
  "#!lua 'x\nreturn 1",
]
